// A stretch of network between two programs that a test can cut: what comes is passed on, or, from
// one moment on, swallowed, while every connection stays open.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace trireme::testing {

class Relay {
 public:
  /// From a port of its own to `port`, both on the loopback device.
  explicit Relay(int port) : to_(port), door_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    if (bind(door_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(door_, 8) != 0) {
      throw std::runtime_error("a relay cannot listen");
    }
    getsockname(door_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Relay() {
    end_ = true;
    thread_.join();
    hang_up();
    close(door_);
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  int port() const { return port_; }
  /// A black hole from now on, and for who connects, too.
  void stop_forwarding() { forwarding_ = false; }
  /// As before; what was open when it stopped is closed.
  void go_on() { reset_ = forwarding_ = true; }
  /// Bytes passed on so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Pair {
    int ends[2];
  };

  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void hang_up() {
    for (const Pair& pair : pairs_) close(pair.ends[0]), close(pair.ends[1]);
    pairs_.clear();
  }

  void accept_one() {
    Pair pair{{accept4(door_, nullptr, nullptr, SOCK_CLOEXEC),
               socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
    const sockaddr_in address = loopback(to_);
    connect(pair.ends[1], reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    pairs_.push_back(pair);
  }

  /// False when one end is gone.
  bool pass_on(const Pair& pair, int from) {
    char bytes[65536];
    const ssize_t count = recv(pair.ends[from], bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count <= 0) return count < 0;
    for (ssize_t sent = 0; sent < count;) {
      const ssize_t more = send(pair.ends[1 - from], bytes + sent,
                                static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
      if (more <= 0) return false;
      sent += more;
    }
    bytes_ += static_cast<std::uint64_t>(count);
    return true;
  }

  void run() {
    while (!end_) {
      if (reset_.exchange(false)) hang_up();
      std::vector<pollfd> polls{{door_, POLLIN, 0}};
      for (const Pair& pair : pairs_) {
        for (const int end : pair.ends) {
          polls.push_back({end, static_cast<short>(forwarding_ ? POLLIN : 0), 0});
        }
      }
      constexpr int milliseconds = 10;
      poll(polls.data(), polls.size(), milliseconds);
      if (!forwarding_) continue;
      std::size_t at = 1;
      for (auto pair = pairs_.begin(); pair != pairs_.end();) {
        bool open = true;
        for (int end = 0; end < 2; ++end) {
          if (polls[at + static_cast<std::size_t>(end)].revents != 0) {
            open = open && pass_on(*pair, end);
          }
        }
        at += 2;
        if (!open) close(pair->ends[0]), close(pair->ends[1]);
        pair = open ? std::next(pair) : pairs_.erase(pair);
      }
      if (polls[0].revents != 0) accept_one();
    }
  }

  int to_;
  int door_;
  int port_ = 0;
  std::thread thread_;
  std::list<Pair> pairs_;
  std::atomic<bool> end_{false};
  std::atomic<bool> forwarding_{true};
  std::atomic<bool> reset_{false};
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace trireme::testing
