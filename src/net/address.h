// Where a process listens: as a person writes it, and as sockets have it.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

struct HostPort {
  std::string host;
  int port = 0;
};

/// "host:7000", "10.0.0.1:7000", "[::1]:7000"; with a `default_host` also "7000". Throws
/// Error(usage), which names `flag`.
HostPort parse_host_port(std::string_view text, std::string_view flag,
                         std::string_view default_host = {});

/// "host:7000", "[::1]:7000".
std::string text_of(const HostPort& address);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  int port() const;
  bool loopback() const;
  /// "127.0.0.1:7000", "[::1]:7000".
  std::string text() const;
};

/// All addresses of a host, by the system's resolver; may take its time. Throws Error(usage).
std::vector<SocketAddress> resolve(const HostPort& address, bool to_listen);

}  // namespace trireme
