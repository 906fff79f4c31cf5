// What runs on GPUs differ in: where the ranks of a host are, what weights and kernels take of a
// GPU's memory, and how large a KV cache is there. The runtime decides by the same functions.
#pragma once

#include <cstdint>
#include <span>

#include "core/model_spec.h"
#include "plan/cache.h"
#include "plan/memory.h"

namespace trireme {

/// The GPUs of each host.
struct GpuHost {
  int count = 1;
  int only = -1;             ///< all ranks are on this one ("cuda:1"); -1: they take them in turn
  std::int64_t memory = 0;   ///< bytes of the smallest, all of it
  double utilization = 0.9;  ///< of it may be filled

  int gpu_of(int local_rank) const { return only >= 0 ? only : local_rank % count; }
  int usable() const { return only >= 0 ? 1 : count; }
  /// Bytes that may be filled.
  std::int64_t budget() const {
    return static_cast<std::int64_t>(static_cast<double>(memory) * utilization);
  }
};

/// Of a host's ranks that take its GPUs in turn: the most on one of them.
int ranks_per_gpu(int local_ranks, int gpus);

/// What the driver and a process's context take of a GPU: code, stacks, heaps. Assumed, and not
/// measured on any GPU yet; a run asks its GPU what is free.
inline constexpr std::int64_t gpu_context_bytes = std::int64_t{600} << 20;
/// The same of what NCCL keeps on each GPU of a replica of several ranks.
inline constexpr std::int64_t gpu_links_bytes = std::int64_t{400} << 20;

/// The most that kernels take in between, of a step or of reading its output: x as it is
/// multiplied, sums that wait for others, attention's partial results. No less than what the
/// kernels of src/kernels/cuda ask for.
std::int64_t gpu_scratch_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               const MemoryLimits& limits);

/// What a rank allocates only after its KV cache: the kernels' scratch memory, and the cache of a
/// step.
std::int64_t gpu_bytes_to_come(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               const MemoryLimits& limits);

/// A rank of a replica on GPUs.
struct GpuRank {
  std::int64_t left = 0;      ///< bytes of its GPU for the caches of all ranks there
  std::int64_t kv_block = 0;  ///< bytes of one block of its cache
};

/// What decides the size of a replica's cache: the rank that has room for fewest blocks.
CacheRequest gpu_cache_request(const MemoryLimits& limits, std::int64_t asked_bytes,
                               std::span<const GpuRank> ranks, int ranks_per_gpu);

}  // namespace trireme
