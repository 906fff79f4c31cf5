#include "runtime/disk_blocks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "models/loader.h"

namespace trireme {

namespace {

constexpr std::size_t page = 4096;

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

}  // namespace

DiskBlocks::~DiskBlocks() {
  if (data_ != nullptr) munmap(data_, bytes_);
  if (fd_ >= 0) close(fd_);
}

void DiskBlocks::open_file() {
  if (folder_.empty()) {
    fail(ErrorKind::usage,
         "some blocks of the device map stay on disk; name a folder for them with "
         "--offload-folder DIR");
  }
  fd_ = open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ < 0 && errno == EOPNOTSUPP) {
    std::string name = folder_ + "/trireme-offload-XXXXXX";
    fd_ = mkostemp(name.data(), O_CLOEXEC);
    if (fd_ >= 0) unlink(name.c_str());
  }
  if (fd_ < 0) {
    fail(ErrorKind::resource, "--offload-folder {}: cannot make a file there: {}", folder_,
         std::strerror(errno));
  }
  // Before anything is written into the map: a disk that is full then would be a SIGBUS.
  const int error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes_));
  if (error != 0) {
    fail(ErrorKind::resource, "--offload-folder {}: no room for {} MiB of weights: {}", folder_,
         bytes_ >> 20, std::strerror(error));
  }
}

void DiskBlocks::map_file() {
  void* const mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) {
    fail(ErrorKind::resource, "--offload-folder {}: cannot map {} MiB: {}", folder_, bytes_ >> 20,
         std::strerror(errno));
  }
  data_ = static_cast<std::byte*>(mapped);
}

void DiskBlocks::fill(const TensorSource& source, ThreadPool& threads,
                      const std::function<void()>& progress) {
  if (stores_.empty()) return;
  for (const ParameterStore& store : stores_) {
    offsets_.push_back(bytes_);
    bytes_ += whole_pages(store.bytes());
  }
  offsets_.push_back(bytes_);
  if (bytes_ == 0) return;
  open_file();
  map_file();
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    stores_[i].place(data_ + offsets_[i]);
    load_parameters(stores_[i], source, threads, progress);
    // Written out now, so that memory holds no more than one block that nobody has saved.
    msync(data_ + offsets_[i], offsets_[i + 1] - offsets_[i], MS_SYNC);
    end(i);
  }
}

void DiskBlocks::begin(std::size_t index) const {
  if (data_ == nullptr) return;
  for (const std::size_t wanted : {index, (index + 1) % stores_.size()}) {
    madvise(data_ + offsets_[wanted], offsets_[wanted + 1] - offsets_[wanted], MADV_WILLNEED);
  }
}

void DiskBlocks::end(std::size_t index) const {
  if (data_ == nullptr) return;
  madvise(data_ + offsets_[index], offsets_[index + 1] - offsets_[index], MADV_DONTNEED);
}

}  // namespace trireme
