// Memory of a backend, owned: the host's own, or a GPU's, which the host cannot read.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace trireme {

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(std::byte* data, std::size_t size, std::function<void(std::byte*)> give_back)
      : data_(data, std::move(give_back)), size_(size) {}

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  std::unique_ptr<std::byte, std::function<void(std::byte*)>> data_{nullptr, [](std::byte*) {}};
  std::size_t size_ = 0;
};

}  // namespace trireme
