// What one rank has done so far and how long it took, as plain numbers.
#pragma once

#include <cstdint>

namespace trireme {

/// Steps are counted by their size, since a small one is bound by memory and a large one by
/// arithmetic: class c holds steps of 2^c to 2^(c+1) - 1 tokens, the last one all that are larger.
inline constexpr int step_classes = 16;

struct RankSample {
  std::int64_t began_ns = 0;    ///< CLOCK_MONOTONIC of its host, when it began to load
  std::int64_t ready_ns = 0;    ///< when it had loaded; 0: not yet
  std::uint64_t busy_ns = 0;    ///< in steps, computing
  std::uint64_t waited_ns = 0;  ///< with work at hand, for other ranks
  std::uint64_t steps = 0;
  std::uint64_t tokens = 0;  ///< that went through its blocks
  std::uint64_t step_count[step_classes] = {};
  std::uint64_t step_tokens[step_classes] = {};
  std::uint64_t kv_used = 0;       ///< cache blocks; on the first rank of a replica
  std::uint64_t kv_blocks = 0;     ///< that there are
  std::uint64_t peak_bytes = 0;    ///< resident memory at most, shared pages included
  std::uint64_t shared_bytes = 0;  ///< pages of files and of memory that several ranks map
  std::uint64_t weight_bytes = 0;  ///< that every step reads
  std::uint64_t multiply_adds_per_token = 0;  ///< of matrix products

  bool operator==(const RankSample&) const = default;
};

}  // namespace trireme
