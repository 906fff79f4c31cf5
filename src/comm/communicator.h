// A group of ranks that can exchange bytes and add up partial sums. Layers own communication;
// models have never heard of it. A group of one takes the same path, and its collectives do
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/range.h"
#include "core/rank_activity.h"
#include "core/trace.h"

namespace trireme {

using Message = std::vector<std::byte>;

/// A sum over the virtual shards of a row-parallel layer, spread over the ranks of a group.
/// `held[r]` is the range of shards that rank r holds (together they cover [0, shard_count), in
/// order; ranges may be empty). Each rank contributes one partial sum for each of
/// largest_subtrees(shard_count, held[rank]), in that order.
struct TreeSum {
  std::int64_t shard_count = 0;
  std::vector<Range> held;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "single", "shm", "mpi", ...
  virtual std::string_view transport() const = 0;

  // Point to point: between any two ranks, messages arrive whole and in the order of sending.
  // Sending buffers: it may wait for the receiver to make room, but never for it to ask.

  virtual void send(int to, std::span<const std::byte> message) = 0;
  /// The next message from `from`; waits for it. Throws Error(peer_lost) when a rank has died.
  virtual Message receive(int from) = 0;
  /// The next message from `from` if it is there already.
  virtual std::optional<Message> try_receive(int from) = 0;
  /// Receives a message of exactly `into.size()` bytes (a bug if it has another size).
  virtual void receive_into(int from, std::span<std::byte> into) = 0;

  // Collectives: every rank of the group calls them, in the same order.

  virtual void barrier() = 0;
  /// Sums `count` floats over all shards in the fixed tree order of core/shard.h and leaves the
  /// sum in `out` on every rank; the same bits for any number of ranks. Each of `partials` is
  /// [count]; `out` may be one of them.
  virtual void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                               std::int64_t count, float* out) = 0;
  /// Every rank's bytes, in rank order, on rank `root`; empty elsewhere.
  virtual std::vector<Message> gather(int root, std::span<const std::byte> bytes) = 0;
  /// Replaces `bytes` on every rank by those of `root`.
  virtual void broadcast(int root, Message& bytes) = 0;

  /// A group of some of these ranks, given in the new order; collective over those in it. Ranks
  /// keep their point-to-point order separately in each group.
  virtual std::unique_ptr<Communicator> group(const std::vector<int>& ranks) = 0;

  /// Tells the world that this rank is alive and making progress; waits inside the communicator
  /// do so by themselves. Costs nanoseconds.
  virtual void heartbeat() {}
  /// Time that this rank has spent waiting for others in this group, or in any of its world where
  /// the transport counts them together; 0 where it does not count.
  virtual std::uint64_t waited_ns() const { return 0; }
  /// Where others of the host read what rank `rank` does; null where there is no such memory.
  virtual RankActivity* activity(int /*rank*/) { return nullptr; }
  /// Where this rank records what it does; null where nobody asks.
  virtual TraceRing* trace() { return nullptr; }

  /// Makes every other rank of the world fail with `reason` instead of waiting for ever.
  virtual void abort(std::string_view reason) noexcept = 0;
};

}  // namespace trireme
