#include "launch/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return;  // nobody listens any more
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

PrefixedOutput::PrefixedOutput(int target, std::string prefix)
    : target_(target), prefix_(std::move(prefix)) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    fail(ErrorKind::resource, "cannot create a pipe: {}", std::strerror(errno));
  }
  fd_ = ends[0];
  child_end_ = ends[1];
  fcntl(fd_, F_SETFL, O_NONBLOCK);
}

PrefixedOutput::PrefixedOutput(PrefixedOutput&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      child_end_(std::exchange(other.child_end_, -1)),
      target_(other.target_),
      prefix_(std::move(other.prefix_)),
      pending_(std::move(other.pending_)) {}

PrefixedOutput::~PrefixedOutput() {
  close_child_end();
  if (fd_ >= 0) {
    write_lines(true);
    close(fd_);
  }
}

void PrefixedOutput::close_child_end() {
  if (child_end_ >= 0) close(std::exchange(child_end_, -1));
}

void PrefixedOutput::pump() {
  char bytes[65536];
  while (fd_ >= 0) {
    const ssize_t count = read(fd_, bytes, sizeof(bytes));
    if (count > 0) {
      pending_.append(bytes, static_cast<std::size_t>(count));
      write_lines(false);
    } else if (count == 0) {
      write_lines(true);
      close(std::exchange(fd_, -1));
    } else if (errno != EINTR) {
      return;
    }
  }
}

void PrefixedOutput::write_lines(bool all) {
  std::string lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines += prefix_ + pending_.substr(begin, end + 1 - begin);
  }
  pending_.erase(0, begin);
  if (all && !pending_.empty()) lines += prefix_ + std::exchange(pending_, {}) + "\n";
  write_all(target_, lines);
}

}  // namespace trireme
