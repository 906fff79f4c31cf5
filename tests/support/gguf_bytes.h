// GGUF files made by hand, right and wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// The bytes of a little-endian GGUF file, put together in the order of the calls.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& value(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBytes& string(std::string_view text) {
    value<std::uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  GgufBytes& start(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    bytes_ += "GGUF";
    return value(version).value(tensors).value(pairs);
  }
  GgufBytes& pair(std::string_view key, std::string_view text) {
    return string(key).value<std::uint32_t>(8).string(text);
  }
  GgufBytes& pair(std::string_view key, std::uint32_t number) {
    return string(key).value<std::uint32_t>(4).value(number);
  }
  GgufBytes& pair(std::string_view key, float number) {
    return string(key).value<std::uint32_t>(6).value(number);
  }
  GgufBytes& pair(std::string_view key, const std::vector<std::string>& texts) {
    string(key).value<std::uint32_t>(9).value<std::uint32_t>(8).value<std::uint64_t>(texts.size());
    for (const std::string& text : texts) string(text);
    return *this;
  }
  GgufBytes& pair(std::string_view key, const std::vector<std::int32_t>& numbers) {
    string(key).value<std::uint32_t>(9).value<std::uint32_t>(5).value<std::uint64_t>(
        numbers.size());
    for (const std::int32_t number : numbers) value(number);
    return *this;
  }
  GgufBytes& pair(std::string_view key, const std::vector<float>& numbers) {
    string(key).value<std::uint32_t>(9).value<std::uint32_t>(6).value<std::uint64_t>(
        numbers.size());
    for (const float number : numbers) value(number);
    return *this;
  }
  /// `dimensions`: ggml's order, the one without gaps first.
  GgufBytes& tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions,
                    std::uint32_t type, std::uint64_t offset) {
    string(name).value(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t size : dimensions) value(size);
    return value(type).value(offset);
  }
  /// Up to the next multiple of `alignment`, then so many bytes of data.
  GgufBytes& data(std::size_t count, std::size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + count, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace trireme
