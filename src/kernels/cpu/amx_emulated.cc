// The AMX kernels over the emulated tiles.
#include "kernels/cpu/amx_emulator.h"
#include "kernels/cpu/amx_integer_kernel.h"
#include "kernels/cpu/amx_kernel.h"

namespace trireme::amx {

const Kernels& emulated_kernels() {
  static constexpr Kernels kernels = {Kernel<EmulatedTiles>::routines(),
                                      IntegerKernel<EmulatedTiles>::routines()};
  return kernels;
}

}  // namespace trireme::amx
