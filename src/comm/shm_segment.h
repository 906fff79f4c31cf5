// The shared memory in which the ranks of one host meet: a memfd that the launcher creates and the
// ranks inherit (containers cap /dev/shm). Pages are taken only when they are touched.
//
//   header | a record per rank | group slots | ring controls | rings, one per ordered pair | areas
//   | a trace per rank
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rank_activity.h"
#include "core/trace.h"

namespace trireme {

/// Two cache lines: adjacent ones are fetched in pairs.
inline constexpr std::size_t shm_line = 128;

/// What one rank tells the others about itself.
struct ShmRank {
  alignas(shm_line) std::atomic<std::uint32_t> doorbell;  ///< the futex that the rank sleeps on
  std::atomic<std::uint32_t> sleepers;     ///< its threads that sleep or are about to
  std::atomic<std::uint32_t> room_wanted;  ///< ranks that wait until it drains its rings
  std::atomic<std::uint32_t> gone;         ///< it has left and will send nothing more
  alignas(shm_line) std::atomic<std::uint64_t> heartbeat;  ///< 0 until it has connected
  alignas(shm_line) RankActivity activity;
};

/// One direction between two ranks. Positions count bytes since the start; never wrap (2^64).
struct ShmRing {
  alignas(shm_line) std::atomic<std::uint64_t> written;
  alignas(shm_line) std::atomic<std::uint64_t> read;
};

/// The collective state of one group of ranks. `key` are its members' world ranks.
struct ShmGroup {
  static constexpr int most_ranks = 128;
  alignas(shm_line) std::atomic<std::uint32_t> used;
  std::uint32_t id;   ///< differs from every other group there has been
  std::uint32_t nth;  ///< among the groups of the same members
  std::uint32_t size;
  std::uint32_t left;  ///< members that have destroyed it
  std::uint16_t members[most_ranks];
};

/// Counts a member's steps in its group's collectives.
struct ShmSequence {
  alignas(shm_line) std::atomic<std::uint64_t> value;
};

/// Where things lie in a segment, in bytes from its start; a function of the number of ranks alone.
struct ShmLayout {
  ShmLayout() = default;
  explicit ShmLayout(int ranks);
  std::size_t slots = 0, ring_capacity = 0;
  std::size_t ranks = 0, groups = 0, sequences = 0, rings = 0, ring_bytes = 0, areas = 0,
              traces = 0, total = 0;
};

class ShmSegment {
 public:
  /// Throws Error(resource) when the memory cannot be had, Error(usage) for too many ranks.
  static ShmSegment create(int ranks);
  /// Maps an inherited segment. Takes over `fd`. Throws Error(usage) when it is not one.
  static ShmSegment attach(int fd);

  ShmSegment(ShmSegment&& other) noexcept;
  ShmSegment& operator=(ShmSegment&& other) noexcept;
  ~ShmSegment();

  int fd() const { return fd_; }
  int ranks() const { return ranks_; }

  ShmRank& rank(int rank) const;
  TraceRing& trace(int rank) const;
  ShmRing& ring(int from, int to) const;
  std::byte* ring_bytes(int from, int to) const;
  std::size_t ring_capacity() const { return layout_.ring_capacity; }
  int group_slots() const { return static_cast<int>(layout_.slots); }
  ShmGroup& group(int slot) const;
  ShmSequence& sequence(int slot, int member) const;
  /// Buffer 0 or 1 of a member of a group: `area_floats` for its pieces and then as many for its
  /// finished slice.
  float* area(int slot, int member, int buffer) const;
  static constexpr std::int64_t area_floats = 32 * 1024;

  /// Finds or makes the slot of the `nth` group of these world ranks. Every member names the same.
  int join_group(const std::vector<int>& members, std::uint32_t nth) const;
  void leave_group(int slot) const noexcept;

  /// Makes every wait in the segment throw Error(peer_lost, reason). The first reason stays.
  void abort(std::string_view reason) const noexcept;
  bool aborted() const noexcept;
  std::string abort_reason() const;
  void throw_if_aborted() const;

  /// Wakes the rank if it sleeps. Call after a sequentially consistent store of what it waits for.
  void notify(int rank) const noexcept;
  void tick(int rank) const noexcept;
  /// Says that the rank will take part no more, and wakes those who may wait for it.
  void mark_gone(int rank) const noexcept;

 private:
  struct Header;
  friend struct ShmLayout;
  ShmSegment(int fd, int ranks, bool initialise);
  Header& header() const;
  std::byte* at(std::size_t offset) const { return base_ + offset; }
  bool lock_groups() const noexcept;
  void unlock_groups() const noexcept;

  int fd_ = -1;
  int ranks_ = 0;
  ShmLayout layout_;
  std::byte* base_ = nullptr;
};

}  // namespace trireme
