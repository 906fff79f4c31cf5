#include "batch/byte_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace trireme {

namespace {

class FileSource : public ByteSource {
 public:
  FileSource(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  ~FileSource() override {
    if (fd_ != STDIN_FILENO) close(fd_);
  }

  std::size_t read(std::span<char> out) override {
    for (;;) {
      const ssize_t got = ::read(fd_, out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) {
        fail(ErrorKind::resource, "{}: cannot read: {}", name_, std::strerror(errno));
      }
    }
  }

  bool ready() override {
    pollfd entry{fd_, POLLIN, 0};
    return poll(&entry, 1, 0) != 0;
  }

  const std::string& name() const override { return name_; }

 private:
  int fd_;
  std::string name_;
};

class MemorySource : public ByteSource {
 public:
  MemorySource(std::string_view bytes, std::string name) : rest_(bytes), name_(std::move(name)) {}

  std::size_t read(std::span<char> out) override {
    const std::size_t count = std::min(out.size(), rest_.size());
    std::copy_n(rest_.data(), count, out.data());
    rest_.remove_prefix(count);
    return count;
  }

  const std::string& name() const override { return name_; }

 private:
  std::string_view rest_;
  std::string name_;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  if (path == "-") return std::make_unique<FileSource>(STDIN_FILENO, "standard input");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const ErrorKind kind =
        errno == ENOENT || errno == ENOTDIR ? ErrorKind::input : ErrorKind::resource;
    fail(kind, "{}: cannot open the input: {}", path, std::strerror(errno));
  }
  auto source = std::make_unique<FileSource>(fd, path);
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    fail(ErrorKind::input, "{}: this is a directory; give a file of rows, or - for standard input",
         path);
  }
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return source;
}

std::unique_ptr<ByteSource> bytes_in_memory(std::string_view bytes, std::string name) {
  return std::make_unique<MemorySource>(bytes, std::move(name));
}

}  // namespace trireme
