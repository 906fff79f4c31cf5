#include "core/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

}  // namespace

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail(ErrorKind::resource, "cannot allocate {:.1f} MB of memory: {}",
         static_cast<double>(bytes) / 1e6, std::strerror(errno));
  }
  if (bytes >= huge_page)
    madvise(memory, bytes, MADV_HUGEPAGE);  // a wish; refusal costs only speed
  data_ = static_cast<std::byte*>(memory);
}

Buffer Buffer::map_shared(int fd, std::size_t bytes) {
  Buffer buffer;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    fail(ErrorKind::resource, "cannot map {:.1f} MB of shared memory: {}",
         static_cast<double>(bytes) / 1e6, std::strerror(errno));
  }
  if (bytes >= huge_page) madvise(memory, bytes, MADV_HUGEPAGE);
  buffer.data_ = static_cast<std::byte*>(memory);
  buffer.size_ = bytes;
  return buffer;
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace trireme
