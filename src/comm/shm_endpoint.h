// One rank's end of a shared memory segment: waiting, and messages to and from every other rank.
#pragma once

#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/patience.h"
#include "comm/shm_segment.h"
#include "comm/wait_time.h"
#include "core/error.h"
#include "core/futex.h"

namespace trireme {

/// Separates the messages of one group from those of another, and a group's collectives from its
/// point-to-point messages: order is kept within a channel only.
using ShmChannel = std::uint32_t;

/// Used by one thread at a time, but for heartbeat(). Ranks are world ranks.
class ShmEndpoint {
 public:
  ShmEndpoint(std::shared_ptr<ShmSegment> segment, int rank);
  ~ShmEndpoint();
  ShmEndpoint(const ShmEndpoint&) = delete;
  ShmEndpoint& operator=(const ShmEndpoint&) = delete;

  const ShmSegment& segment() const { return *segment_; }
  int rank() const { return rank_; }

  void send(ShmChannel channel, int to, std::span<const std::byte> message);
  Message receive(ShmChannel channel, int from);
  std::optional<Message> try_receive(ShmChannel channel, int from);
  void receive_into(ShmChannel channel, int from, std::span<std::byte> into);

  /// Returns once `ready()`, which must come true by something that `peer` does before it notifies
  /// this rank. Meanwhile makes room for senders. Throws Error(peer_lost) if that cannot come.
  template <typename Ready>
  void wait(int peer, const Ready& ready) {
    if (ready()) return;
    const WaitTime time(waited_ns_);
    heartbeat();
    Patience patience;
    while (!ready()) {
      segment_->throw_if_aborted();
      if (own().room_wanted.load(std::memory_order_relaxed) != 0) drain_all();
      if (!patience.pause()) sleep(peer, ready);
    }
  }

  /// Spent in wait().
  std::uint64_t waited_ns() const { return waited_ns_; }

  void heartbeat() const noexcept { segment_->tick(rank_); }

  /// How often this endpoint has created a group of exactly these members.
  std::uint32_t next_group(const std::vector<int>& members) { return groups_made_[members]++; }

 private:
  /// Opens every message in a ring. Positions of headers are multiples of its size.
  struct Header {
    std::uint64_t size;
    ShmChannel channel;
    std::uint32_t unused;
  };
  /// Where the next message of `channel` may be put straight away.
  struct Wanted {
    ShmChannel channel;
    std::span<std::byte> into;
    bool filled = false;
  };
  /// The message that is arriving from one rank.
  struct Arriving {
    Header header{};
    bool started = false;
    std::size_t done = 0;
    Message storage;
    Wanted* wanted = nullptr;  // instead of `storage`
    std::byte* target = nullptr;
  };

  template <typename Ready>
  void sleep(int peer, const Ready& ready) {
    ShmRank& self = own();
    self.sleepers.fetch_add(1);
    const std::uint32_t bell = self.doorbell.load();
    if (!ready() && !segment_->aborted() && self.room_wanted.load() == 0) {
      futex_wait(self.doorbell, bell, std::chrono::milliseconds(50));
    }
    self.sleepers.fetch_sub(1);
    heartbeat();
    if (segment_->rank(peer).gone.load() != 0 && !ready()) peer_left(peer);
  }
  [[noreturn]] void peer_left(int peer) const;

  ShmRank& own() const { return segment_->rank(rank_); }
  std::int64_t room(int to, std::uint64_t position) const;
  void wait_for_room(int to, std::uint64_t position, std::int64_t bytes);
  void drain_all();
  bool drain_some(int from, Wanted* wanted);
  void start_message(int from, std::uint64_t position, Wanted* wanted);
  void finish_message(int from);
  bool arrived(const std::deque<Message>& box, int from, Wanted* wanted);

  std::shared_ptr<ShmSegment> segment_;
  int rank_;
  std::uint64_t waited_ns_ = 0;
  int exceptions_ = std::uncaught_exceptions();  // more of them at the end: this rank has failed
  std::vector<Arriving> arriving_;               // per sender
  std::map<std::pair<ShmChannel, int>, std::deque<Message>> inbox_;
  std::map<std::vector<int>, std::uint32_t> groups_made_;
};

}  // namespace trireme
