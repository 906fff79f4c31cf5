// Ports of the loopback for programs that are told theirs beforehand. They lie below those that the
// system gives away by itself (ip_local_port_range): one of these may be some other connection's
// before the program that was told it has taken it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace trireme::test {

inline bool can_listen(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool can = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return can;
}

/// One that nobody uses now, another one at each call.
inline int unused_port() {
  constexpr int first = 10000;
  constexpr int count = 22000;
  static int next = getpid() * 16 % count;  // programs with neighbouring ids begin apart
  for (int tries = 0; tries < count; ++tries) {
    const int port = first + next;
    next = (next + 1) % count;
    if (can_listen(port)) return port;
  }
  throw std::runtime_error("no unused port");
}

}  // namespace trireme::test
