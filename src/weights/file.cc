#include "weights/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "core/read_file.h"

namespace trireme {

namespace {

/// A name that no other process chooses: one in another container may have the same pid.
std::filesystem::path beside(const std::filesystem::path& target) {
  std::random_device random;
  std::filesystem::path name = target;
  name += fmt::format(".{:08x}{:08x}{}", random(), random(), AtomicFile::temporary_suffix);
  return name;
}

/// Makes a rename durable. Some file systems cannot sync a directory; then the data at least is.
void sync_directory(const std::filesystem::path& directory) {
  const int fd =
      open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  fd_ = open_regular_file(path);
  struct stat status {};
  if (fstat(fd_, &status) != 0) {
    close(fd_);
    fail(ErrorKind::resource, "{}: cannot look at it: {}", name_, std::strerror(errno));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)), fd_(other.fd_), size_(other.size_) {
  other.fd_ = -1;
}

InputFile::~InputFile() {
  if (fd_ >= 0) close(fd_);
}

void InputFile::read(std::uint64_t offset, std::byte* out, std::size_t bytes) const {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(fd_, out + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fail(ErrorKind::resource, "{}: cannot read {} bytes at offset {}: {}", name_, bytes, offset,
           std::strerror(errno));
    }
    if (got == 0) {
      fail(ErrorKind::input,
           "{}: the file ends at byte {}, but {} bytes at offset {} are needed: it was cut short "
           "since it was opened ({} bytes then); download it again",
           name_, offset + done, bytes, offset, size_);
    }
    done += static_cast<std::size_t>(got);
  }
}

void InputFile::will_read(std::uint64_t offset, std::uint64_t bytes) const {
  posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

FileStamp InputFile::stamp() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) {
    fail(ErrorKind::resource, "{}: cannot look at it: {}", name_, std::strerror(errno));
  }
  constexpr std::int64_t second_ns = 1'000'000'000;
  return {name_, static_cast<std::uint64_t>(status.st_size),
          std::int64_t{status.st_mtim.tv_sec} * second_ns + status.st_mtim.tv_nsec};
}

FileMap::FileMap(const InputFile& file) : size_(file.size()) {
  if (size_ == 0) return;
  void* const memory = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd_, 0);
  if (memory == MAP_FAILED) {
    fail(ErrorKind::resource, "{}: cannot map {} bytes: {}", file.name(), size_,
         std::strerror(errno));
  }
  madvise(memory, size_, MADV_HUGEPAGE);  // a wish; refusal costs only speed
  data_ = static_cast<const std::byte*>(memory);
}

FileMap& FileMap::operator=(FileMap&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FileMap::~FileMap() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

bool FileMap::populate(std::uint64_t offset, std::size_t bytes) const {
  // A kernel that does not know the advice (before 5.14) fetches pages as they are read.
  return madvise(const_cast<std::byte*>(data_) + offset, bytes, MADV_POPULATE_READ) == 0 ||
         (errno != EFAULT && errno != EHWPOISON);
}

void FileMap::will_read(std::uint64_t offset, std::size_t bytes) const {
  madvise(const_cast<std::byte*>(data_) + offset, bytes, MADV_WILLNEED);
}

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target) {
  std::error_code error;
  const auto status = std::filesystem::status(target, error);
  const bool replace = !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
  if (replace) {
    temporary_ = beside(target);
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } else {
    fd_ = open(target.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (fd_ < 0) {
    temporary_.clear();
    fail_with_errno("cannot create");
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::fail_with_errno(const char* action) const {
  const int error = errno;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    fail(ErrorKind::resource,
         "{}: {}: {} (after {} bytes); free some space or choose another place", target_.string(),
         action, std::strerror(error), written_);
  }
  fail(kind_of_errno(error), "{}: {}: {}", target_.string(), action, std::strerror(error));
}

void AtomicFile::write(const std::byte* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = ::write(fd_, data, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_with_errno("cannot write");
    data += put;
    bytes -= static_cast<std::size_t>(put);
    written_ += static_cast<std::uint64_t>(put);
  }
}

void AtomicFile::commit() {
  if (!temporary_.empty()) {
    if (fsync(fd_) != 0) fail_with_errno("cannot write");
    if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno("cannot create");
    temporary_.clear();
    sync_directory(target_.parent_path());
  }
  const int closed = close(fd_);
  fd_ = -1;
  if (closed != 0) fail_with_errno("cannot write");
}

std::string printable(std::string_view text) {
  constexpr std::size_t limit = 200;
  std::string out;
  for (const char c : text.substr(0, limit)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return text.size() > limit ? out + "..." : out;
}

}  // namespace trireme
