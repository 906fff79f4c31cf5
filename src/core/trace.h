// What a rank did when: a ring of records in memory that outlives it, so that a rank which is
// killed leaves behind what it had recorded.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace trireme {

enum class TraceKind : std::uint32_t {
  load = 0,    ///< of the weights
  step = 1,    ///< of the replica, through this rank's blocks
  result = 2,  ///< the first rank waits for what the last stage made of a step
};

/// A cache line. Times are monotonic_ns().
struct TraceRecord {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t input_wait_ns = 0;  ///< of a step, at its begin: for the stage before
  std::int64_t other_wait_ns = 0;  ///< in sum: for the tensor group, and for room in the next stage
  TraceKind kind{};
  std::uint32_t step = 0;         ///< counts the replica's steps: the same on all its ranks
  std::uint32_t micro_batch = 0;  ///< of those in flight at once
  std::uint32_t tokens = 0;
  std::uint32_t sequences = 0;
  std::uint32_t unused[3] = {};
};
static_assert(sizeof(TraceRecord) == 64);

/// One writer; readers take a copy. All zero is the empty ring, which is off.
struct TraceRing {
  static constexpr std::uint64_t capacity = std::uint64_t{1} << 16;  // 4 MiB, taken as it fills

  alignas(64) std::atomic<std::uint32_t> on;
  std::atomic<std::uint64_t> written;  ///< since the start; the last `capacity` are there
  alignas(64) TraceRecord records[capacity];

  void add(const TraceRecord& record) {
    if (on.load(std::memory_order_relaxed) == 0) return;
    const std::uint64_t index = written.load(std::memory_order_relaxed);
    records[index % capacity] = record;
    written.store(index + 1, std::memory_order_release);
  }
};

/// What has been taken out of a ring.
struct TracePart {
  std::vector<TraceRecord> records;  ///< oldest first, times ascending, none overlapping
  std::uint64_t dropped = 0;         ///< older ones, or ones that cannot be
};

/// Safe while the writer goes on, and whatever a rank that crashed has left: records that make no
/// sense are dropped.
TracePart read(const TraceRing& ring);

}  // namespace trireme
