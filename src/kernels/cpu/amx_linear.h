// The `amx` backend: another CPU backend whose bf16 matrix products run on Intel's tile registers.
// How the kernels work, and what was tuned: kernels/cpu/AMX.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/cpu/amx_product.h"

namespace trireme {

/// Whether this process may run the tile instructions: "granted", or a sentence that says who
/// refuses them ("the CPU has none", "the kernel refuses it: ..."). Asks the kernel for the
/// permission, which then holds for the whole process.
std::string amx_status();

/// amx_status() == "granted".
bool amx_granted();

/// `base` with `linear` of bf16 weights replaced by AMX. Only where amx_granted(). `base` must pack
/// weights as kernels/packed.h says.
std::unique_ptr<Backend> make_amx_backend(std::unique_ptr<Backend> base);

/// The same over emulated tiles, "amx-emulated": for tests of everything above it. Gives the bits
/// of the `amx` backend (as far as the processor does what its manual says), hundreds of times
/// slower.
std::unique_ptr<Backend> make_emulated_amx_backend(std::unique_ptr<Backend> base);

namespace amx {

/// The blocking for m rows by `panels` panels of weights with `steps` steps of K each. A pure
/// function; what it decides cannot show in a result.
Blocking choose_blocking(std::int64_t m, std::int64_t panels, std::int64_t steps, int threads);

/// Memory that a product needs, kept from call to call. One at a time.
struct Workspace {
  std::vector<KChunk> chunks;
  std::vector<Task> tasks;
  std::vector<float*> outputs;
  Buffer memory;  ///< packed activations, then each thread's partial sums
};

/// Backend::linear for bf16 weights.
void linear(const Kernels& kernels, ThreadPool& threads, const LinearArgs& args,
            const Blocking& blocking, Workspace& workspace);

}  // namespace amx
}  // namespace trireme
