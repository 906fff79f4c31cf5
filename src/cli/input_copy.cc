#include "cli/input_copy.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "cli/signals.h"
#include "trireme/error.h"

namespace trireme {

namespace {

[[noreturn]] void fail_to_keep(const std::string& name) {
  throw Error(ErrorKind::resource,
              fmt::format("cannot keep a copy of {}: {}", name, std::strerror(errno)));
}

std::string name_of(const std::string& path) { return path == "-" ? "standard input" : path; }

Descriptor open_input(const std::string& path) {
  Descriptor input(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (input.get() >= 0) return input;
  throw Error(ErrorKind::input, fmt::format("{}: {}", name_of(path), std::strerror(errno)));
}

void write_all(int fd, const char* data, std::size_t bytes, const std::string& name) {
  while (bytes > 0) {
    const ssize_t count = ::write(fd, data, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_keep(name);
    data += count;
    bytes -= static_cast<std::size_t>(count);
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor copy_of_input(const std::string& path) {
  const Descriptor input = open_input(path);
  Descriptor copy(memfd_create("trireme-input", MFD_CLOEXEC));
  if (copy.get() < 0) fail_to_keep(name_of(path));
  std::vector<char> piece(std::size_t{1} << 16);
  while (!stop_requested()) {
    const ssize_t count = ::read(input.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(ErrorKind::input, fmt::format("{}: {}", name_of(path), std::strerror(errno)));
    }
    if (count == 0) break;
    write_all(copy.get(), piece.data(), static_cast<std::size_t>(count), name_of(path));
  }
  return copy;
}

std::string path_of_descriptor(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

bool read_only_once(const std::string& path) {
  struct stat info {};
  return path == "-" || (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode));
}

}  // namespace trireme
