// The `amx` backend: another CPU backend whose products of bf16, i8, i4 and u4 weights run on
// Intel's tile registers.
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

/// Whether the tiles know products of bytes, too (AMX-INT8). All processors with AMX do; who runs
/// a virtual machine may hide it.
bool amx_int8_granted();

/// `base` with `linear` replaced by AMX where that is faster. Only where amx_granted(). `base` must
/// pack weights as kernels/packed.h says.
std::unique_ptr<Backend> make_amx_backend(std::unique_ptr<Backend> base);

/// The same over emulated tiles, "amx-emulated": for tests of everything above it. Gives the bits
/// of the `amx` backend (as far as the processor does what its manual says), hundreds of times
/// slower.
std::unique_ptr<Backend> make_emulated_amx_backend(std::unique_ptr<Backend> base);

namespace amx {

/// The blocking for m rows by `panels` panels of weights with `steps` steps of K each. A pure
/// function; what it decides cannot show in a result.
Blocking choose_blocking(std::int64_t m, std::int64_t panels, std::int64_t steps, int threads);

/// The same for products of integers, whose steps are 64 k.
Blocking choose_integer_blocking(std::int64_t m, std::int64_t panels, std::int64_t steps,
                                 int threads);

/// Whichever suits the weights.
Blocking blocking_for(const LinearArgs& args, int threads);

/// Products of integers of fewer rows are left to the base, with VNNI: up to 12 rows its sums stay
/// in registers while the weights stream past, and reading them takes longer than multiplying.
/// The bits are the same, so this may be tuned.
inline constexpr std::int64_t fewest_integer_rows = 13;
/// So are narrower groups: scaling takes longer than any product then.
inline constexpr std::int64_t narrowest_integer_group = 64;

/// Whether the `amx` backend multiplies these integers by tiles.
bool takes_integers(const MatrixShape& shape, std::int64_t m);

/// Memory that a product needs, kept from call to call. One at a time.
struct Workspace {
  std::vector<KChunk> chunks;
  std::vector<std::int64_t> shard_begins;  ///< first chunk of each shard
  std::vector<Task> tasks;
  std::vector<float*> outputs;
  Buffer memory;  ///< packed activations, then each thread's partial sums and room
};

/// Backend::linear for weights of bf16, i8, i4 and u4.
void linear(const Kernels& kernels, ThreadPool& threads, const LinearArgs& args,
            const Blocking& blocking, Workspace& workspace);

}  // namespace amx
}  // namespace trireme
