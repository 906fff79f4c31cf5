// GPT-2's alphabet: every byte as a printable character.
#include "text/byte_level.h"

#include <array>

#include "text/utf8.h"

namespace trireme::text {
namespace {

// The printable characters of Latin-1 stand for themselves, the other bytes, in order, for the
// characters from U+0100 on. All of them are below U+0800: at most two bytes of UTF-8.
constexpr char32_t kLimit = 0x144;

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<std::int16_t, kLimit> byte{};

  constexpr Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned i = 0; i < 256; ++i) {
      const bool printable = (i >= '!' && i <= '~') || (i >= 0xA1 && i != 0xAD);
      character[i] = printable ? i : next++;
      byte[character[i]] = static_cast<std::int16_t>(i);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

void append_byte_level(std::string& out, std::string_view bytes) {
  const std::size_t start = out.size();
  out.resize(start + 2 * bytes.size());
  char* to = out.data() + start;
  for (const char c : bytes) {
    const char32_t character = kAlphabet.character[static_cast<unsigned char>(c)];
    if (character < 0x80) {
      *to++ = static_cast<char>(character);
    } else {
      *to++ = static_cast<char>(0xC0 | character >> 6);
      *to++ = static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
}

void append_from_byte_level(std::string& out, std::string_view token) {
  const std::size_t start = out.size();
  for (std::size_t at = 0; at < token.size();) {
    const char32_t c = next_code_point(token, at);
    if (c >= kLimit || kAlphabet.byte[c] < 0) {
      out.resize(start);
      out += token;
      return;
    }
    out.push_back(static_cast<char>(kAlphabet.byte[c]));
  }
}

}  // namespace trireme::text
