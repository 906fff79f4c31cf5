// Writing and reading small binary messages between the processes of a run. Both ends are the same
// program on the same kind of machine; the reader still checks every length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace trireme {

/// What goes before a message in a stream: its length, little-endian.
inline constexpr std::size_t length_prefix_bytes = 4;
inline std::string length_prefix(std::uint32_t size) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(size >> shift));
  return bytes;
}
inline std::uint32_t length_in(const char* bytes) {
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i) {
    size |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return size;
}

class ByteWriter {
 public:
  template <typename T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof(T));
  }

  template <typename T>
  void array(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    value<std::uint64_t>(values.size());
    append(values.data(), values.size_bytes());
  }
  template <typename T>
  void array(const std::vector<T>& values) {
    array(std::span<const T>(values));
  }
  void string(std::string_view text) { array(std::span<const char>(text)); }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void append(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    if (size != 0) bytes_.insert(bytes_.end(), begin, begin + size);
  }

  std::vector<std::byte> bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T value() {
    static_assert(std::is_trivially_copyable_v<T>);
    T out;
    copy(&out, sizeof(T));
    return out;
  }

  template <typename T>
  std::vector<T> array() {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto count = value<std::uint64_t>();
    if (count > bytes_.size() / sizeof(T)) cut_short();
    std::vector<T> out(static_cast<std::size_t>(count));
    copy(out.data(), out.size() * sizeof(T));
    return out;
  }
  std::string string() {
    const std::vector<char> text = array<char>();
    return {text.begin(), text.end()};
  }

  bool done() const { return bytes_.empty(); }

 private:
  [[noreturn]] static void cut_short() {
    fail(ErrorKind::peer_lost, "a message from another rank is cut short");
  }
  void copy(void* out, std::size_t size) {
    if (size > bytes_.size()) cut_short();
    if (size != 0) std::memcpy(out, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
  }

  std::span<const std::byte> bytes_;
};

}  // namespace trireme
