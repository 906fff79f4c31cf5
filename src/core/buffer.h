// Owned, zeroed, page-aligned memory; large buffers ask for huge pages (worth 15 % of the read
// bandwidth when weights stream through).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace trireme {

class Buffer {
 public:
  Buffer() = default;
  /// Zeroed memory of `bytes` bytes. Throws Error(resource) when there is not enough.
  explicit Buffer(std::size_t bytes);
  /// Shared memory: maps `bytes` bytes of the file descriptor (a memfd), which stays the caller's.
  static Buffer map_shared(int fd, std::size_t bytes);
  ~Buffer();

  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace trireme
