#include "cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "trireme/error.h"

namespace trireme {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{64} << 10;

/// The unfinished files, for the signal handler. No verb writes more of them at a time.
char unfinished[2][4096];

/// Leaves no half-written file behind when the user stops the program.
void remove_and_die(int number) {
  for (const char* const file : unfinished) {
    if (file[0] != '\0') ::unlink(file);
  }
  ::signal(number, SIG_DFL);
  ::raise(number);
}

/// The place of the file among the unfinished ones, or -1.
int watch(const std::string& temporary) {
  int place = 0;
  while (place < 2 && unfinished[place][0] != '\0') ++place;
  if (place == 2 || temporary.size() >= sizeof(unfinished[0])) return -1;
  std::memcpy(unfinished[place], temporary.c_str(), temporary.size() + 1);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction current {};
    sigaction(number, nullptr, &current);
    if (current.sa_handler == SIG_DFL) ::signal(number, remove_and_die);
  }
  return place;
}

void unwatch(int place) {
  if (place >= 0) unfinished[place][0] = '\0';
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
  if (!temporary_.empty()) watched_ = watch(temporary_);
}

Output::~Output() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  unwatch(watched_);
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
  unwatch(std::exchange(watched_, -1));
}

void Output::reserve(std::uint64_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  // Not every file system can; then a full disk shows when it is written.
  if (::fallocate(fd_, 0, 0, size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS &&
      errno != EINTR) {
    fail_with_errno(fmt::format("cannot take {} bytes", bytes));
  }
  if (::ftruncate(fd_, size) != 0) fail_with_errno("cannot be written");
}

void Output::write_at(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void print_out(std::string_view text) {
  Output out("-");
  out.write(text);
  out.flush();
}

}  // namespace trireme
