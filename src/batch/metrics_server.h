// Answers `GET /metrics` over HTTP/1.1 from within the loop of a job: nothing waits here, whoever
// asks and however slowly.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <string>

namespace trireme {

class MetricsServer {
 public:
  static constexpr std::size_t most_clients = 16;
  static constexpr std::size_t most_request_bytes = 8192;
  static constexpr std::chrono::seconds patience{5};  ///< with one client

  /// `where`: "9090", "HOST:9090", "[::1]:9090"; without a host on loopback alone; port 0 takes any
  /// free one. Throws Error(usage) when that makes no sense or cannot be had.
  explicit MetricsServer(const std::string& where);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  /// "127.0.0.1:9090"
  const std::string& address() const { return address_; }
  int port() const { return port_; }
  /// Takes in and answers what has arrived. Call several times a second; `text` is asked when
  /// somebody wants it.
  void serve(const std::function<std::string()>& text);

 private:
  using Clock = std::chrono::steady_clock;
  struct Client {
    int fd = -1;
    Clock::time_point since = Clock::now();
    std::string request;
    std::string answer;  ///< empty until the request is there
    std::size_t written = 0;
  };

  void take_clients();
  static bool turn(Client& client, const std::function<std::string()>& text);

  int fd_ = -1;
  int port_ = 0;
  std::string address_;
  std::list<Client> clients_;
};

}  // namespace trireme
