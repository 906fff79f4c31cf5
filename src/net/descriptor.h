// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

#include <utility>

namespace trireme {

class NetDescriptor {
 public:
  NetDescriptor() = default;
  explicit NetDescriptor(int fd) : fd_(fd) {}
  NetDescriptor(NetDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  NetDescriptor& operator=(NetDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~NetDescriptor() { close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace trireme
