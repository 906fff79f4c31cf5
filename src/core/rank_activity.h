// What one rank has done and how long it took: counters that it writes as it works and that others
// of its host may read at any time, even while it stands still.
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "trireme/rank_sample.h"

namespace trireme {

/// CLOCK_MONOTONIC in nanoseconds: one clock for all processes of a host.
inline std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// The class of a step, see RankSample.
inline int step_class(std::uint64_t tokens) {
  const auto width = static_cast<int>(std::bit_width(tokens));
  return width == 0 ? 0 : width > step_classes ? step_classes - 1 : width - 1;
}

/// One writer, any readers. All zero is the state before the rank has begun, so that it may lie in
/// fresh shared memory.
struct RankActivity {
  using Counter = std::atomic<std::uint64_t>;

  std::atomic<std::int64_t> began_ns;  ///< monotonic_ns() when it began to load
  std::atomic<std::int64_t> ready_ns;  ///< when it had loaded; 0: not yet
  Counter busy_ns;                     ///< in steps, computing
  Counter waited_ns;                   ///< with work at hand, for other ranks
  Counter steps;
  Counter tokens;  ///< that went through its blocks
  Counter step_count[step_classes];
  Counter step_tokens[step_classes];
  Counter kv_used;       ///< cache blocks; on the first rank of a replica
  Counter kv_blocks;     ///< that there are
  Counter peak_bytes;    ///< resident memory at most, shared pages included
  Counter shared_bytes;  ///< of that, pages of files and of memory that several ranks map
  // What a step costs at least.
  Counter weight_bytes;             ///< read by every step
  Counter multiply_adds_per_token;  ///< of matrix products

  static void add(Counter& counter, std::uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  static void set(Counter& counter, std::uint64_t value) {
    counter.store(value, std::memory_order_relaxed);
  }
};

/// The counters at one moment.
RankSample read(const RankActivity& activity);

/// This process's own resident memory, from /proc/self/status; zeros where that cannot be read.
struct ResidentMemory {
  std::uint64_t peak_bytes = 0;
  std::uint64_t shared_bytes = 0;
};
ResidentMemory resident_memory();

}  // namespace trireme
