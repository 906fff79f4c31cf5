// Lets in who knows the key, and nobody else.
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/secure_stream.h"

namespace trireme {

class Listener {
 public:
  /// Peers that have not shown yet that they know the key: beyond so many the oldest one goes.
  static constexpr std::size_t most_strangers = 64;

  /// Listens at once; port 0: any. Throws Error(usage | resource).
  Listener(const HostPort& address, const SharedKey& key, StreamLimits limits);

  /// Where it listens, with the port that was found.
  const SocketAddress& address() const { return address_; }

  /// What turn() waits for, to be polled with everything else.
  void add_polls(std::vector<pollfd>& polls) const;
  /// Accepts and examines strangers; returns those who know the key.
  std::vector<std::unique_ptr<SecureStream>> turn(NetClock::time_point now = NetClock::now());
  /// Whom it turned away and why, a line at a time, not more often than every ten seconds.
  std::vector<std::string> take_refusals(NetClock::time_point now = NetClock::now());

 private:
  void accept_some(NetClock::time_point now);
  void refuse(const SecureStream& stranger);

  TlsContext context_;
  StreamLimits limits_;
  SocketAddress address_;
  NetDescriptor socket_;
  std::vector<std::unique_ptr<SecureStream>> strangers_;  ///< oldest first
  NetClock::time_point accept_again_{};                   ///< after descriptors ran out
  std::string refusal_;                                   ///< the last one that nobody was told of
  std::uint64_t refused_ = 0;                             ///< since then
  NetClock::time_point told_at_{};
};

}  // namespace trireme
