// One rank's end of the connections to all others: a thread reads what arrives, sends signs of life
// and notices who is silent or gone.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/tcp_mesh.h"

namespace trireme {

/// Separates the messages of one group from those of another, and collectives from the rest.
using TcpChannel = std::uint64_t;

/// Used by one thread at a time, but for abort(). Ranks are world ranks.
class TcpEndpoint {
 public:
  TcpEndpoint(TcpPeers peers, int rank);
  /// Takes leave; on an exception, tells the others to stop.
  ~TcpEndpoint();
  TcpEndpoint(const TcpEndpoint&) = delete;
  TcpEndpoint& operator=(const TcpEndpoint&) = delete;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(peers_.size()) + 1; }
  void send(TcpChannel channel, int to, std::span<const std::byte> message);
  Message receive(TcpChannel channel, int from);
  std::optional<Message> try_receive(TcpChannel channel, int from);
  void abort(std::string_view reason) noexcept;

  /// Spent in receive(), waiting.
  std::uint64_t waited_ns() const { return waited_ns_; }

  /// How often this endpoint has created a group of exactly these members.
  std::uint32_t next_group(const std::vector<int>& members) { return groups_made_[members]++; }

 private:
  using Clock = std::chrono::steady_clock;
  enum Kind : std::uint32_t { data = 0, sign_of_life = 1, leave = 2, stop = 3 };
  struct Header {
    std::uint64_t size = 0;
    TcpChannel channel = 0;
    Kind kind = data;
    std::uint32_t unused = 0;
  };
  struct Peer {
    Socket socket;
    std::mutex sending;
    Clock::time_point heard_at = Clock::now();
    Header header;
    std::size_t header_done = 0;
    Message message;
    bool ended = false;   // for the thread that reads: nothing comes any more
    bool gone = false;    // it has taken its leave
    bool closed = false;  // nothing comes any more, as everybody knows
    bool silent = false;  // it has shown no sign of life for too long
  };

  void read_for_ever();
  void read_from(int rank, Peer& peer);
  bool read_some(Peer& peer, std::span<std::byte> into, std::size_t& done);
  void finish_message(int rank, Peer& peer);
  void lost(int rank, Peer& peer);
  void beat(Clock::time_point now);
  void blame_silent(Clock::time_point now);
  void fail_all(const std::string& reason);
  void throw_if_failed() const;
  bool write(Peer& peer, Kind kind, TcpChannel channel, std::span<const std::byte> bytes);
  bool write_all(Peer& peer, std::span<const std::byte> bytes);
  bool has_failed();
  bool is_beyond_reach(const Peer& peer);
  void wait_until_delivered();

  int rank_;
  std::uint64_t waited_ns_ = 0;
  int exceptions_ = std::uncaught_exceptions();
  std::map<int, Peer> peers_;
  std::map<std::vector<int>, std::uint32_t> groups_made_;
  std::mutex mutex_;  // what follows, and `gone` and `closed`
  std::condition_variable arrived_;
  std::map<std::pair<TcpChannel, int>, std::deque<Message>> inbox_;
  std::optional<std::string> failure_;
  Clock::time_point beat_at_{};
  Clock::time_point looked_at_ = Clock::now();
  std::chrono::seconds silent_for_;  ///< what a peer is given
  Socket wake_;
  std::thread thread_;
};

}  // namespace trireme
