// A worker's connection to the coordinator, made again when it is lost.
#pragma once

#include <poll.h>

#include <optional>
#include <string>
#include <vector>

#include "batch/join_messages.h"
#include "net/connecting.h"

namespace trireme {

class JoinLink {
 public:
  enum class Event { none, connected, lost, failed };

  /// Throws Error(usage) for what is wrong with the address or the key.
  JoinLink(const std::string& address, const std::string& key_file, StreamLimits limits);

  /// What turn() waits for; call that ten times a second, too.
  void add_poll(std::vector<pollfd>& polls) const;
  /// Goes on. `failed`: an attempt has failed, another one follows. Throws Error(usage) when the
  /// coordinator has another key.
  Event turn();
  /// Why the connection, or the last attempt, is over.
  const std::string& reason() const { return reason_; }
  /// How long there has been none.
  NetClock::duration down_for() const;

  bool up() const { return stream_ != nullptr; }
  /// Dropped while there is no connection.
  void post(const JoinMessage& message);
  /// Throws Error(peer_lost) for bytes that are no message.
  std::optional<JoinMessage> try_receive();
  /// Says what is posted still, and waits a moment until the coordinator has heard it.
  void part();

 private:
  std::string text_;  ///< the address
  StreamLimits limits_;
  TlsContext context_;
  std::vector<SocketAddress> addresses_;
  std::optional<Connecting> connecting_;
  std::unique_ptr<SecureStream> stream_;
  NetClock::time_point down_since_ = NetClock::now();
  NetClock::time_point try_at_{};
  NetClock::duration pause_;
  std::string reason_;
};

}  // namespace trireme
