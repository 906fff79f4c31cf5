// The way to a listener: one address after the other, each for a while, without waiting.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/secure_stream.h"

namespace trireme {

class Connecting {
 public:
  /// `context` (of a client) outlives it and the stream.
  Connecting(std::vector<SocketAddress> addresses, const TlsContext& context, StreamLimits limits,
             NetClock::time_point now = NetClock::now());

  /// For poll(2); -1 while there is nothing to wait for.
  int fd() const;
  short wants() const;
  /// Goes on; the stream, once its other end has shown that it knows the key.
  std::unique_ptr<SecureStream> turn(NetClock::time_point now = NetClock::now());
  /// No address has answered as it should: why, of the last one.
  bool failed() const { return failed_; }
  const std::string& reason() const { return reason_; }
  /// One of them has another key.
  bool other_key() const { return other_key_; }

 private:
  void try_next(NetClock::time_point now);
  void give_up_on_this(const std::string& reason, NetClock::time_point now);
  void look_at_socket(NetClock::time_point now);

  std::vector<SocketAddress> addresses_;
  const TlsContext& context_;
  StreamLimits limits_;
  std::size_t next_ = 0;
  std::string at_;
  NetDescriptor socket_;  ///< not connected yet
  std::unique_ptr<SecureStream> stream_;
  NetClock::time_point began_;
  bool failed_ = false;
  bool other_key_ = false;
  std::string reason_;
};

}  // namespace trireme
