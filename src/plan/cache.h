// How large a replica's KV cache is: one decision for what `plan` prints and what the runtime
// allocates. Which sequences are too long is max_model_len's to say and never the cache's, whose
// size depends on the plan and on free memory; so a cache must hold one such sequence.
#pragma once

#include <cstdint>
#include <string>

#include "plan/memory.h"

namespace trireme {

struct CacheRequest {
  MemoryLimits limits;
  std::int64_t asked_bytes = 0;       ///< per rank; 0: what is wanted, within what is free
  std::int64_t block_bytes = 1;       ///< of the rank whose blocks take most
  std::int64_t host_block_bytes = 1;  ///< of the ranks that share a host, one block each
  std::int64_t free_bytes = 0;        ///< on a host, without any cache
  std::int64_t reserve_bytes = 0;     ///< of these, what one sequence may not take
  int ranks_per_host = 1;
  bool takes_all = false;  ///< of what is free: a GPU's memory is for nothing else
};

/// What a cache may take of a GPU's memory of which so much is free, where `utilization` (of one)
/// of all of it may be filled.
std::int64_t gpu_memory_left(std::int64_t total, std::int64_t free, double utilization);

/// Blocks of the cache, the same number on every rank of a replica: all that max_sequences want, if
/// there is memory for them, and fewer than one sequence takes only if there is none for more.
std::int64_t cache_blocks(const CacheRequest& request);

/// Why that many blocks are too few; empty if one sequence fits.
std::string cache_shortage(const CacheRequest& request);
/// What to do about it.
std::string cache_advice(const CacheRequest& request);

/// The --max-model-len that the cache has room for, as a person types it; 0: none.
std::int64_t length_that_fits(const CacheRequest& request);

/// The least --kv-cache-memory for one sequence.
std::int64_t bytes_of_one_sequence(const CacheRequest& request);
/// The same as a person types it: "512K", "40M".
std::string memory_for_one_sequence(const CacheRequest& request);

}  // namespace trireme
