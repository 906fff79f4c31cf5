// Fields of messages as bytes: written and read by the same description. Nothing that is read is
// trusted.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/error.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "messages are little-endian");

[[noreturn]] inline void fail_malformed(const char* what) {
  fail(ErrorKind::peer_lost, "a batch message is malformed ({}): are all ranks of one version?",
       what);
}

/// Writes and reads the same fields by the same code: see visit_message in messages.cc.
class MessageWriter {
 public:
  template <typename T>
  void number(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void flag(const bool& value) { number(static_cast<std::uint8_t>(value)); }
  void text(const std::string& value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_ += value;
  }
  template <typename T>
  void choice(const T& value, T) {
    number(static_cast<std::uint8_t>(value));
  }
  template <typename List, typename Each>
  void list(const List& values, Each each) {
    number(static_cast<std::uint64_t>(values.size()));
    for (const auto& value : values) each(value);
  }
  template <typename T, typename Each>
  void optional(const std::optional<T>& value, Each each) {
    flag(value.has_value());
    if (value) each(*value);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  void number(T& value) {
    const std::string_view bytes = take(sizeof(T));
    std::memcpy(&value, bytes.data(), sizeof(T));
  }
  void flag(bool& value) {
    std::uint8_t byte = 0;
    number(byte);
    if (byte > 1) fail_malformed("a flag is neither 0 nor 1");
    value = byte != 0;
  }
  void text(std::string& value) {
    std::uint64_t size = 0;
    number(size);
    value = take(size);
  }
  template <typename T>
  void choice(T& value, T last) {
    std::uint8_t byte = 0;
    number(byte);
    if (byte > static_cast<std::uint8_t>(last)) fail_malformed("an unknown choice");
    value = static_cast<T>(byte);
  }
  template <typename List, typename Each>
  void list(List& values, Each each) {
    std::uint64_t size = 0;
    number(size);
    // Each element takes a byte at least: a lying count cannot make us allocate.
    if (size > rest_.size()) fail_malformed("a list longer than the message");
    values.clear();
    for (std::uint64_t i = 0; i < size; ++i) each(values.emplace_back());
  }
  template <typename T, typename Each>
  void optional(std::optional<T>& value, Each each) {
    bool given = false;
    flag(given);
    if (given) each(value.emplace());
  }
  void expect_end() const {
    if (!rest_.empty()) fail_malformed("bytes left over");
  }

 private:
  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) fail_malformed("cut short");
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
};

/// A message of several kinds: which it is, then its fields. `fields(io, alternative)` visits them,
/// for writing and for reading.
template <typename Variant, typename Fields>
std::string encode_message(const Variant& message, const Fields& fields) {
  MessageWriter writer;
  writer.number(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& alternative) { fields(writer, alternative); }, message);
  return writer.take();
}

template <typename Variant, std::size_t index = 0, typename Fields>
Variant read_alternative(std::uint8_t wanted, MessageReader& reader, const Fields& fields) {
  if constexpr (index < std::variant_size_v<Variant>) {
    if (wanted != index) return read_alternative<Variant, index + 1>(wanted, reader, fields);
    std::variant_alternative_t<index, Variant> message;
    fields(reader, message);
    return message;
  } else {
    fail_malformed("an unknown kind");
  }
}

/// Throws Error(peer_lost) for bytes that encode_message() cannot have made.
template <typename Variant, typename Fields>
Variant decode_message(std::string_view bytes, const Fields& fields) {
  MessageReader reader(bytes);
  std::uint8_t kind = 0;
  reader.number(kind);
  Variant message = read_alternative<Variant>(kind, reader, fields);
  reader.expect_end();
  return message;
}

}  // namespace trireme
