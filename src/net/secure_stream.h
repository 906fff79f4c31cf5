// Whole messages between two processes that share a key, over a socket; never waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/descriptor.h"
#include "net/tls.h"

namespace trireme {

using NetClock = std::chrono::steady_clock;

struct StreamLimits {
  std::uint32_t most_bytes = 64u << 20;  ///< of one message
  std::chrono::milliseconds peer_timeout{10000};
  std::chrono::milliseconds handshake_timeout{5000};
  std::size_t handshake_bytes = 16384;  ///< that a peer may send before it is known
};

/// One end of a connection. Used by one thread; turn() is called often, and whenever poll(2) says
/// that fd() has what wants() asks for.
class SecureStream {
 public:
  /// Takes over a connected socket. `peer`: its address, for messages. `context` outlives it.
  SecureStream(NetDescriptor socket, const TlsContext& context, StreamLimits limits,
               std::string peer, NetClock::time_point now = NetClock::now());

  const std::string& peer() const { return peer_; }
  int fd() const { return socket_.get(); }
  /// POLLIN and POLLOUT as far as they are of use.
  short wants() const;
  /// Whether the peer has shown that it knows the key: before, no message comes from it, and none
  /// goes to it.
  bool authenticated() const { return tls_->authenticated(); }

  /// Reads and writes what can be, sends signs of life, and finds out whether the peer is lost.
  void turn(NetClock::time_point now = NetClock::now());
  /// Queues a message of 1 to most_bytes, and writes what the socket takes now.
  void post(std::string_view message);
  /// Writes what the socket takes now; false while something is left.
  bool flush(NetClock::time_point now = NetClock::now());
  /// The next message that has arrived whole.
  std::optional<std::string> try_receive();
  /// Queues the end: what was posted before still goes out.
  void finish();

  /// The connection is over, and all that came over it has been received.
  bool closed() const { return !socket_.open() && !next_size(); }
  /// Why it is over, for people.
  const std::string& reason() const { return reason_; }
  bool other_key() const { return tls_->other_key(); }

 private:
  void read_available(NetClock::time_point now);
  void keep_alive(NetClock::time_point now);
  void close(std::string reason);
  std::optional<std::uint32_t> next_size() const;

  NetDescriptor socket_;
  std::unique_ptr<TlsSession> tls_;
  StreamLimits limits_;
  std::string peer_;
  std::string reason_;
  std::string incoming_;  ///< what the peer said, decrypted
  std::size_t taken_ = 0;
  std::string outgoing_;  ///< to be encrypted
  std::size_t encrypted_ = 0;
  std::size_t handshake_bytes_ = 0;
  bool finishing_ = false;
  bool finished_ = false;  ///< the end has been encrypted
  NetClock::time_point began_;
  NetClock::time_point heard_at_;
  NetClock::time_point pinged_at_;
  NetClock::time_point moved_at_;   ///< when the socket last took something, or had nothing to take
  NetClock::time_point turned_at_;  ///< when turn() was last called
};

}  // namespace trireme
