#include "batch/metrics_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

struct Place {
  std::string host = "127.0.0.1";
  std::string port;
};

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  fail(ErrorKind::usage, "--metrics {}: {}", where, why);
}

Place place_of(const std::string& where) {
  Place place;
  const std::size_t colon = where.rfind(':');
  if (colon != std::string::npos) place.host = where.substr(0, colon);
  if (place.host.starts_with('[') && place.host.ends_with(']')) {
    place.host = place.host.substr(1, place.host.size() - 2);
  }
  place.port = colon == std::string::npos ? where : where.substr(colon + 1);
  int number = -1;
  const char* const end = place.port.data() + place.port.size();
  const auto [rest, error] = std::from_chars(place.port.data(), end, number);
  if (error != std::errc() || rest != end || number < 0 || number > 65535 || place.host.empty()) {
    refuse(where, "expected PORT or HOST:PORT, such as 9090 or 0.0.0.0:9090");
  }
  return place;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses look_up(const std::string& where, const Place& place) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found);
  if (error != 0) refuse(where, fmt::format("no such address ({})", gai_strerror(error)));
  return {found, freeaddrinfo};
}

int listening(const std::string& where, const addrinfo& address) {
  const int fd = socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (fd >= 0 && bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, 16) == 0) {
    return fd;
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  refuse(where, fmt::format("cannot listen there: {}; choose another port, or 0 for any free one",
                            std::strerror(error)));
}

int port_of(int fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
  if (own.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(own).sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in&>(own).sin_port);
}

std::string response(std::string_view status, std::string_view type, const std::string& body,
                     bool with_body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
      status, type, body.size(), status.starts_with("405") ? "Allow: GET, HEAD\r\n" : "",
      with_body ? body : "");
}

/// `request`: up to the empty line.
std::string answer_to(std::string_view request, const std::function<std::string()>& text) {
  constexpr std::string_view plain = "text/plain; charset=utf-8";
  const std::string_view line = request.substr(0, request.find("\r\n"));
  const std::size_t space = line.find(' ');
  const std::size_t second = line.find(' ', space + 1);
  if (space == line.npos || second == line.npos ||
      !line.substr(second + 1).starts_with("HTTP/1.")) {
    return response("400 Bad Request", plain, "not an HTTP/1 request\n", true);
  }
  const std::string_view method = line.substr(0, space);
  std::string_view path = line.substr(space + 1, second - space - 1);
  path = path.substr(0, path.find('?'));
  const bool head = method == "HEAD";
  if (!head && method != "GET") {
    return response("405 Method Not Allowed", plain, "GET /metrics\n", true);
  }
  if (path != "/metrics") return response("404 Not Found", plain, "GET /metrics\n", !head);
  return response("200 OK", "text/plain; version=0.0.4; charset=utf-8", text(), !head);
}

}  // namespace

MetricsServer::MetricsServer(const std::string& where) {
  const Place place = place_of(where);
  const Addresses addresses = look_up(where, place);
  fd_ = listening(where, *addresses);
  port_ = port_of(fd_);
  const bool v6 = place.host.find(':') != std::string::npos;
  address_ = fmt::format("{}{}{}:{}", v6 ? "[" : "", place.host, v6 ? "]" : "", port_);
}

MetricsServer::~MetricsServer() {
  for (const Client& client : clients_) close(client.fd);
  close(fd_);
}

void MetricsServer::serve(const std::function<std::string()>& text) {
  take_clients();
  for (auto client = clients_.begin(); client != clients_.end();) {
    const bool late = Clock::now() - client->since > patience;
    if (!late && turn(*client, text)) {
      ++client;
      continue;
    }
    close(client->fd);
    client = clients_.erase(client);
  }
}

void MetricsServer::take_clients() {
  while (clients_.size() < most_clients) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    clients_.push_back({.fd = fd});
  }
}

/// Reads and writes what goes at once. False when the client is done with, or gone.
bool MetricsServer::turn(Client& client, const std::function<std::string()>& text) {
  char bytes[2048];
  while (client.answer.empty()) {
    const ssize_t count = recv(client.fd, bytes, sizeof(bytes), 0);
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (count == 0) return false;
    client.request.append(bytes, static_cast<std::size_t>(count));
    if (client.request.size() > most_request_bytes) return false;
    if (client.request.find("\r\n\r\n") == std::string::npos) continue;
    client.answer = answer_to(client.request, text);
  }
  const std::string_view rest = std::string_view(client.answer).substr(client.written);
  const ssize_t count = send(client.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  client.written += static_cast<std::size_t>(count);
  if (client.written < client.answer.size()) return true;
  shutdown(client.fd, SHUT_WR);
  return false;
}

}  // namespace trireme
