// Reading, writing, validating and repairing UTF-8.
#include "text/utf8.h"

#include <simdjson.h>

namespace trireme::text {
namespace {

enum class Sequence { valid, invalid, incomplete };

struct Scan {
  Sequence kind;
  std::size_t length;  // bytes of the character, or of its maximal valid beginning (at least 1)
};

// Looks at the one character at the front of `bytes` (Unicode 15, table 3-7).
Scan scan_character(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Sequence::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Sequence::invalid, 1};
  const std::size_t length = utf8_length(bytes[0]);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Sequence::incomplete, i};
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (i == 1) {
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    }
    if (byte(i) < low || byte(i) > high) return {Sequence::invalid, i};
  }
  return {Sequence::valid, length};
}

}  // namespace

char32_t previous_code_point(std::string_view text, std::size_t& position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  std::size_t at = position;
  return next_code_point(text, at);
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
  }
  put(0x80 | (code_point & 0x3F));
}

std::optional<std::size_t> invalid_utf8_offset(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
  std::size_t at = 0;
  while (at < text.size()) {
    const Scan scan = scan_character(text.substr(at));
    if (scan.kind != Sequence::valid) break;
    at += scan.length;
  }
  return at;
}

std::size_t append_lossy(std::string& out, std::string_view bytes, bool last) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Scan scan = scan_character(bytes.substr(at));
    if (scan.kind == Sequence::incomplete && !last) break;
    out += scan.kind == Sequence::valid ? bytes.substr(at, scan.length) : kReplacementCharacter;
    at += scan.length;
  }
  return at;
}

}  // namespace trireme::text
