// An input that can be read only once (a pipe), kept so that it can be read again, by other
// processes, too.
#pragma once

#include <string>
#include <utility>

namespace trireme {

/// An open descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// The input `path` ("-": standard input), to its end or to a stop signal, in memory. Throws
/// Error(input | resource).
Descriptor copy_of_input(const std::string& path);

/// Under which this process can open the descriptor.
std::string path_of_descriptor(int fd);

/// Whether the input cannot be opened a second time from its start.
bool read_only_once(const std::string& path);

}  // namespace trireme
