// Two ends of a stream in one process, and time that passes when a test says so.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>

#include "net/connecting.h"
#include "net/listener.h"

namespace trireme {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline SharedKey key_of(const std::string& text) { return SharedKey::from_bytes(text); }
inline SharedKey good_key() { return key_of("0123456789abcdef0123456789abcdef"); }

/// A connected pair of sockets, the second one in the hands of the test.
inline std::pair<NetDescriptor, NetDescriptor> socket_pair() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  return {NetDescriptor(ends[0]), NetDescriptor(ends[1])};
}

/// Client and server over one pair of sockets.
class Ends {
 public:
  explicit Ends(StreamLimits limits = {}, const SharedKey& server_key = good_key(),
                const SharedKey& client_key = good_key())
      : server_context_(server_key, TlsRole::server), client_context_(client_key, TlsRole::client) {
    auto [a, b] = socket_pair();
    server.emplace(std::move(a), server_context_, limits, "worker", now);
    client.emplace(std::move(b), client_context_, limits, "coordinator", now);
  }

  void turn_both(int rounds = 1) {
    for (int i = 0; i < rounds; ++i) {
      client->turn(now);
      server->turn(now);
    }
  }
  void meet() {
    turn_both(3);
    ASSERT_TRUE(server->authenticated()) << server->reason();
    ASSERT_TRUE(client->authenticated()) << client->reason();
  }

  NetClock::time_point now = NetClock::now();
  std::optional<SecureStream> server;
  std::optional<SecureStream> client;

 private:
  TlsContext server_context_;
  TlsContext client_context_;
};

}  // namespace trireme
