#include "cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "trireme/error.h"

namespace trireme {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{64} << 10;

/// The unfinished file, for the signal handler: one output file is written at a time.
char unfinished[4096];

/// Leaves no half-written file behind when the user stops the program.
void remove_and_die(int number) {
  if (unfinished[0] != '\0') ::unlink(unfinished);
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void watch(const std::string& temporary) {
  if (temporary.size() >= sizeof(unfinished)) return;
  std::memcpy(unfinished, temporary.c_str(), temporary.size() + 1);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction current {};
    sigaction(number, nullptr, &current);
    if (current.sa_handler == SIG_DFL) ::signal(number, remove_and_die);
  }
}

bool is_regular_or_new(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode);
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

Output::Output(const std::string& path) : path_(path) {
  if (is_standard()) {
    fd_ = STDOUT_FILENO;
    return;
  }
  if (is_folder(path)) {
    throw Error(ErrorKind::input, path + ": is a directory; name a file to write");
  }
  if (is_regular_or_new(path)) temporary_ = fmt::format("{}.tmp-{}", path, ::getpid());
  const std::string& target = temporary_.empty() ? path_ : temporary_;
  fd_ = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    temporary_.clear();
    fail_with_errno("cannot be written");
  }
  if (!temporary_.empty()) watch(temporary_);
}

Output::~Output() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  unfinished[0] = '\0';
  if (fd_ >= 0 && !is_standard()) ::close(fd_);
}

void Output::fail_with_errno(std::string_view action) const {
  if (errno == EPIPE) throw OutputClosed();
  const ErrorKind kind =
      errno == ENOENT || errno == ENOTDIR ? ErrorKind::input : ErrorKind::resource;
  throw Error(kind, fmt::format("{}: {}: {}", is_standard() ? "standard output" : path_, action,
                                std::strerror(errno)));
}

void Output::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= buffer_bytes) flush();
}

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t count = ::write(fd_, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("cannot be written");
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  buffer_.clear();
}

void Output::commit() {
  flush();
  if (temporary_.empty()) return;
  if (::fsync(fd_) != 0) fail_with_errno("cannot be written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("cannot be put in place");
  temporary_.clear();
  unfinished[0] = '\0';
}

void print_out(std::string_view text) {
  Output out("-");
  out.write(text);
  out.flush();
}

}  // namespace trireme
