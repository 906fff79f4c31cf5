#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace trireme {

namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view flag, bool host_optional) {
  fail(ErrorKind::usage, "{} {}: expected {}, as in node1:7000 or [::1]:7000", flag, text,
       host_optional ? "[HOST:]PORT" : "HOST:PORT");
}

}  // namespace

HostPort parse_host_port(std::string_view text, std::string_view flag,
                         std::string_view default_host) {
  const bool host_optional = !default_host.empty();
  std::string_view host = default_host;
  std::string_view port = text;
  if (const std::size_t colon = text.rfind(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (brackets) host = host.substr(1, host.size() - 2);
    // An IPv6 address without brackets: nobody knows where it ends.
    if (!brackets && host.find_first_of(":[]") != host.npos) refuse(text, flag, host_optional);
  }
  HostPort address{std::string(host), -1};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (host.empty() || error != std::errc() || end != port.data() + port.size() ||
      address.port < 0 || address.port > 65535) {
    refuse(text, flag, host_optional);
  }
  return address;
}

std::string text_of(const HostPort& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return brackets ? fmt::format("[{}]:{}", address.host, address.port)
                  : fmt::format("{}:{}", address.host, address.port);
}

int SocketAddress::port() const {
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  return family() == AF_INET ? ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port) : 0;
}

bool SocketAddress::loopback() const {
  if (family() == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
  }
  constexpr unsigned first_byte = 127;
  const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&storage);
  return family() == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == first_byte;
}

std::string SocketAddress::text() const {
  char host[NI_MAXHOST];
  if (getnameinfo(get(), size, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  return text_of({host, port()});
}

std::vector<SocketAddress> resolve(const HostPort& address, bool to_listen) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (error != 0) {
    fail(ErrorKind::usage, "{}: the host {} cannot be found: {}", text_of(address), address.host,
         gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<SocketAddress> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    SocketAddress& next = found.emplace_back();
    std::memcpy(&next.storage, entry->ai_addr, entry->ai_addrlen);
    next.size = entry->ai_addrlen;
  }
  return found;
}

}  // namespace trireme
