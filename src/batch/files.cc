#include "batch/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "batch/fail_point.h"
#include "batch/output_file.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

class RealFile : public File {
 public:
  RealFile(const fs::path& path, Opening opening)
      : file_(path, opening == Opening::keep ? O_RDWR | O_CREAT : O_WRONLY | O_CREAT | O_TRUNC) {}

  const std::string& name() const override { return file_.name(); }
  std::uint64_t size() const override { return file_.size(); }
  std::size_t read_at(std::uint64_t offset, char* out, std::size_t bytes) const override {
    return file_.read_at(offset, out, bytes);
  }
  void write(std::string_view bytes, std::string_view purpose) override {
    file_.write(bytes, purpose);
  }
  void write_at(std::uint64_t offset, std::string_view bytes, std::string_view purpose) override {
    file_.write_at(offset, bytes, purpose);
  }
  void truncate(std::uint64_t bytes) override { file_.truncate(bytes); }
  void sync() override { file_.sync(); }
  void sync_data() override { file_.sync_data(); }

  bool try_lock() override {
    int error = test_disk_error("lock");
    if (error == 0 && flock(file_.fd(), LOCK_EX | LOCK_NB) != 0) error = errno;
    if (error == 0) return true;
    if (error == EWOULDBLOCK || error == EINTR) return false;
    fail(ErrorKind::resource,
         "{}: cannot be locked ({}): its file system, a network's perhaps, has no locks, and "
         "without one a second run on this output would not be noticed; choose an -o on a local "
         "disk and move the file when it is done",
         name(), std::strerror(error));
  }

  bool still_named() const override {
    struct stat held {
    }, named{};
    return fstat(file_.fd(), &held) == 0 && stat(name().c_str(), &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
  }

 private:
  OutputFile file_;
};

/// What a link leads to, also when that is not there yet.
fs::path follow_links(fs::path path) {
  constexpr int most_links = 40;  // as in the kernel
  std::error_code error;
  for (int link = 0; link < most_links && fs::is_symlink(fs::symlink_status(path, error)); ++link) {
    const fs::path target = fs::read_symlink(path, error);
    if (error) break;
    path = path.parent_path() / target;  // an absolute one replaces the rest
  }
  return path;
}

class RealFiles : public Files {
 public:
  std::unique_ptr<File> open(const fs::path& path, Opening opening) override {
    return std::make_unique<RealFile>(path, opening);
  }

  Kind kind(const fs::path& path) override {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return Kind::absent;
    if (fs::is_regular_file(status)) return Kind::regular;
    return fs::is_directory(status) ? Kind::directory : Kind::other;
  }

  fs::path resolve(const fs::path& path) override {
    std::error_code error;
    const fs::path resolved = fs::weakly_canonical(follow_links(path), error);
    return error ? path : resolved;
  }

  void rename(const fs::path& from, const fs::path& to) override {
    int error = test_disk_error("rename");
    if (error == 0 && ::rename(from.c_str(), to.c_str()) != 0) error = errno;
    if (error == 0) return;
    fail(ErrorKind::resource, "{}: cannot be named {}: {}", from.string(), to.string(),
         std::strerror(error));
  }

  void remove(const fs::path& path) override {
    int error = test_disk_error("remove");
    if (error == 0 && unlink(path.c_str()) != 0) error = errno;
    if (error == 0 || error == ENOENT) return;
    fail(ErrorKind::resource, "{}: cannot remove: {}", path.string(), std::strerror(error));
  }

  void sync_directory_of(const fs::path& path) override { trireme::sync_directory_of(path); }
};

}  // namespace

void Files::make_directory(const fs::path& path) {
  if (mkdir(path.c_str(), 0777) == 0) return;
  fail(ErrorKind::resource, "{}: cannot make the folder: {}", path.string(), std::strerror(errno));
}

void Files::remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return;
  fail(ErrorKind::resource, "{}: cannot remove the folder: {}", path.string(), error.message());
}

Files& real_files() {
  static RealFiles files;
  return files;
}

}  // namespace trireme
