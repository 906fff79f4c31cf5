// Messages between the launcher and the first rank of a replica, over an inherited socket.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trireme {

/// One end of a stream of whole messages (a little-endian u32 length, then that many bytes). The
/// stream ends when the peer closes its end or dies. Used by one thread at a time.
class ControlChannel {
 public:
  static constexpr std::uint32_t most_bytes = 64u << 20;  ///< of one message

  /// Takes over `fd`, a connected stream socket.
  explicit ControlChannel(int fd);
  ControlChannel(ControlChannel&& other) noexcept;
  ControlChannel& operator=(ControlChannel&& other) noexcept;
  ~ControlChannel();

  /// Two connected ends. Throws Error(resource).
  static std::pair<ControlChannel, ControlChannel> make_pair();
  /// The channel that TRIREME_CONTROL_FD names, if this process is the first rank of a replica that
  /// has one. Call once.
  static std::optional<ControlChannel> from_environment();

  /// For poll(): readable when there may be a message or the end.
  int fd() const { return fd_; }
  /// The peer is gone and all that it sent has been received.
  bool closed() const { return ended_ && !next_size(); }

  /// Queues a message and writes what the socket takes now; never waits.
  void post(std::string_view message);
  /// Writes more of what is queued; false while something is left (poll for POLLOUT).
  bool flush();
  /// Waits until the message is written; reads meanwhile, so that two ends that both send do not
  /// wait for each other. False when the peer is gone.
  bool send(std::string_view message);

  /// The next message if it has arrived whole. Throws Error(peer_lost) for a length beyond the
  /// limit.
  std::optional<std::string> try_receive();
  /// Waits for the next message; calls `idle` at least ten times a second (heartbeats). Nothing
  /// when the stream has ended.
  std::optional<std::string> receive(const std::function<void()>& idle = [] {});

 private:
  std::optional<std::uint32_t> next_size() const;
  void read_available();
  void wait(short events, const std::function<void()>& idle);

  int fd_ = -1;
  bool ended_ = false;
  std::string incoming_;
  std::size_t taken_ = 0;  // bytes of incoming_ already handed out
  std::string outgoing_;
  std::size_t written_ = 0;
};

}  // namespace trireme
