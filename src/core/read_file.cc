#include "core/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace trireme {

namespace {

namespace fs = std::filesystem;

/// Text files of a model take some ten megabytes; what is far larger is no such file.
constexpr std::int64_t largest_file = std::int64_t{1} << 30;

bool means_absent(int error) { return error == ENOENT || error == ENOTDIR; }

[[noreturn]] void fail_to_open(const fs::path& path, int error) {
  struct stat status {};
  if (error == ENOENT && lstat(path.c_str(), &status) == 0) {
    fail(ErrorKind::input,
         "{}: cannot open: this link leads to a file that is not there ({}); download the file "
         "again",
         path.string(), fs::read_symlink(path).string());
  }
  const char* remedy = error == EACCES || error == EPERM
                           ? "; let this user read it and enter the directories above it"
                           : "";
  fail(kind_of_errno(error), "{}: cannot open: {}{}", path.string(), std::strerror(error), remedy);
}

/// A descriptor that closes itself.
class OpenFile {
 public:
  explicit OpenFile(const fs::path& path) : fd_(open_regular_file(path)) {}
  ~OpenFile() { close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

ErrorKind kind_of_errno(int error) {
  const bool of_the_input = means_absent(error) || error == ELOOP || error == ENAMETOOLONG;
  return of_the_input ? ErrorKind::input : ErrorKind::resource;
}

bool there_is(const fs::path& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) return true;
  if (means_absent(errno) || errno == ENAMETOOLONG) return false;
  fail_to_open(path, errno);
}

bool is_folder(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (means_absent(errno) || errno == ENAMETOOLONG) return false;
  fail_to_open(path, errno);
}

int open_regular_file(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_to_open(path, errno);
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  close(fd);
  fail(ErrorKind::input, "{}: not a regular file", path.string());
}

std::string read_file(const fs::path& path) {
  const OpenFile file(path);
  std::string text;
  std::string piece(std::size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t got = read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fail(ErrorKind::resource, "{}: cannot read: {}", path.string(), std::strerror(errno));
    }
    if (got == 0) return text;
    text.append(piece, 0, static_cast<std::size_t>(got));
    if (static_cast<std::int64_t>(text.size()) > largest_file) {
      fail(ErrorKind::input, "{}: more than {} bytes; what is it?", path.string(), largest_file);
    }
  }
}

std::optional<std::string> read_file_if_there(const fs::path& path) {
  if (!there_is(path)) return std::nullopt;
  return read_file(path);
}

}  // namespace trireme
