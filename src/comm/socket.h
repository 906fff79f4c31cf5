// A file descriptor that closes itself, and waiting for it.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace trireme {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

using SteadyTime = std::chrono::steady_clock::time_point;

/// Whether it can be read (POLLIN) or written (POLLOUT) before `end`.
inline bool ready_before(const Socket& socket, short what, SteadyTime end) {
  using namespace std::chrono;
  for (;;) {
    const auto left = duration_cast<milliseconds>(end - steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd entry{socket.get(), what, 0};
    if (poll(&entry, 1, static_cast<int>(left.count())) > 0) return true;
  }
}

}  // namespace trireme
