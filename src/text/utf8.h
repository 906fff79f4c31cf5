// Reading, writing, validating and repairing UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::text {

/// The number of bytes of the character that starts with `lead`, in valid UTF-8.
inline std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The code point at `position` of valid UTF-8; moves `position` behind it.
inline char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return position += 1, lead;
  char32_t code_point = 0;
  if (lead < 0xE0) {
    code_point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    return position += 2, code_point;
  }
  if (lead < 0xF0) {
    code_point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return position += 3, code_point;
  }
  code_point =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return position += 4, code_point;
}

/// The code point that ends right before `position` of valid UTF-8; moves `position` before it.
char32_t previous_code_point(std::string_view text, std::size_t& position);

/// Appends the UTF-8 form of `code_point`.
void append_utf8(std::string& out, char32_t code_point);

/// The offset of the first byte that is not part of valid UTF-8, or nothing.
std::optional<std::size_t> invalid_utf8_offset(std::string_view text);

/// Appends `bytes` to `out` with every invalid part replaced by one U+FFFD, the parts being the
/// Unicode standard's maximal subparts (as Rust's from_utf8_lossy and Python's errors="replace").
/// Unless `last`, stops before an incomplete character at the end. Returns the bytes consumed.
std::size_t append_lossy(std::string& out, std::string_view bytes, bool last);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace trireme::text
