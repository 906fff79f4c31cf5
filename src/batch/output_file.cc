#include "batch/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "batch/fail_point.h"
#include "core/error.h"

namespace trireme {

namespace {

/// Whether a test wants this operation to fail; errno then says how.
bool told_to_fail(std::string_view operation) {
  const int error = test_disk_error(operation);
  if (error != 0) errno = error;
  return error != 0;
}

[[noreturn]] void fail_with_errno(const std::string& name, const char* action) {
  const int error = errno;
  const bool absent = error == ENOENT || error == ENOTDIR || error == EISDIR;
  fail(absent ? ErrorKind::usage : ErrorKind::resource, "{}: cannot {}: {}", name, action,
       std::strerror(error));
}

[[noreturn]] void fail_to_write(const std::string& name, std::size_t bytes,
                                std::string_view purpose) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(ErrorKind::resource, "{}: cannot write {} bytes: {}{}; {}", name, bytes,
       std::strerror(error), full ? " (the disk, the quota or the limit on file sizes)" : "",
       purpose);
}

}  // namespace

OutputFile::OutputFile(const std::filesystem::path& path, int flags)
    : name_(path.string()), fd_(open(path.c_str(), flags | O_CLOEXEC, 0666)), owned_(true) {
  if (fd_ < 0) fail_with_errno(name_, "open for writing");
}

OutputFile::OutputFile(int fd, std::string name) : name_(std::move(name)), fd_(fd) {}

OutputFile::~OutputFile() {
  if (owned_ && fd_ >= 0) close(fd_);
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(owned_, other.owned_);
  return *this;
}

std::uint64_t OutputFile::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) fail_with_errno(name_, "look at");
  return static_cast<std::uint64_t>(status.st_size);
}

void OutputFile::write(std::string_view bytes, std::string_view purpose) const {
  while (!bytes.empty()) {
    const ssize_t put = told_to_fail("write") ? -1 : ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_to_write(name_, bytes.size(), purpose);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

void OutputFile::write_at(std::uint64_t offset, std::string_view bytes,
                          std::string_view purpose) const {
  while (!bytes.empty()) {
    const ssize_t put = told_to_fail("write")
                            ? -1
                            : pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_to_write(name_, bytes.size(), purpose);
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

std::size_t OutputFile::read_at(std::uint64_t offset, char* out, std::size_t bytes) const {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(fd_, out + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_with_errno(name_, "read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void OutputFile::truncate(std::uint64_t bytes) const {
  if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0) fail_with_errno(name_, "shorten");
}

void OutputFile::sync() const {
  if (told_to_fail("sync") || fsync(fd_) != 0) fail_with_errno(name_, "make durable");
}

void OutputFile::sync_data() const {
  if (told_to_fail("sync") || fdatasync(fd_) != 0) fail_with_errno(name_, "make durable");
}

void sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const int fd = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A directory that may be written but not read, and file systems that know no such thing.
  if (fd < 0 && errno == EACCES) return;
  if (fd < 0) fail_with_errno(parent.string(), "open to make names in it durable");
  int error = told_to_fail("sync") || fsync(fd) != 0 ? errno : 0;
  if (error == EINVAL || error == ENOTSUP || error == EROFS) error = 0;
  close(fd);
  errno = error;
  if (error != 0) fail_with_errno(parent.string(), "make names in it durable");
}

}  // namespace trireme
