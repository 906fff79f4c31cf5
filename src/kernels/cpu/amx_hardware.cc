// The AMX kernels over the processor's tiles. Compiled with AVX-512; see amx_kernel.h for what that
// forbids.
#include <immintrin.h>

#include "kernels/cpu/amx_integer_kernel.h"
#include "kernels/cpu/amx_kernel.h"

namespace trireme::amx {

namespace {

/// The thread's tile registers: configured for as long as the object lives, and released after it,
/// so that the kernel saves no 8 kB of tiles for a thread that does other things.
///
/// Assembly instead of the intrinsics for two reasons: g++ 12's _tile_loadd tells the compiler
/// nothing about the memory it reads, so that stores of packed activations may sink below it; and
/// its register numbers must be literals, which a template's are not.
class HardwareTiles {
 public:
  explicit HardwareTiles(const TileConfig& config) {
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  ~HardwareTiles() { __asm__ volatile("tilerelease" ::: "memory"); }
  HardwareTiles(const HardwareTiles&) = delete;
  HardwareTiles& operator=(const HardwareTiles&) = delete;

  template <int T>
  [[gnu::always_inline]] inline void load(const void* base, std::int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(base), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  [[gnu::always_inline]] inline void store(void* base, std::int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(base), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  [[gnu::always_inline]] inline void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] inline void dot() {
    // In this syntax the destination comes last and the second source (B) first.
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] inline void dot_signed() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] inline void dot_unsigned() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }

  static void widen(const std::byte* halves, float* out) {
    const auto* from = reinterpret_cast<const __m256i*>(halves);
    for (int i = 0; i < 2; ++i) {
      // With a mask, because g++ 12 warns of the one without: its result begins undefined.
      const __m512 floats = _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(from + i));
      _mm512_storeu_ps(out + i * tile_side, floats);
    }
  }

  static void prefetch_l1(const void* line) { __builtin_prefetch(line, 0, 3); }
  static void prefetch_l2(const void* line) { __builtin_prefetch(line, 0, 2); }
};

}  // namespace

const Kernels& hardware_kernels() {
  static constexpr Kernels kernels = {Kernel<HardwareTiles>::routines(),
                                      IntegerKernel<HardwareTiles>::routines()};
  return kernels;
}

}  // namespace trireme::amx
