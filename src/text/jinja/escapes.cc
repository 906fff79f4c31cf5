#include "text/jinja/escapes.h"

#include "text/jinja/fault.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Reads one escape; `position` stands behind the backslash.
class EscapeReader {
 public:
  EscapeReader(std::string_view text, std::size_t& position, std::string& out)
      : text_(text), position_(position), out_(out) {}

  void read() {
    constexpr std::string_view letters = "abfnrtv\\'\"";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = text_[position_];
    if (const auto known = letters.find(c); known != std::string_view::npos) {
      out_.push_back(meanings[known]);
      ++position_;
    } else if (c == '\n') {
      ++position_;
    } else if (c >= '0' && c <= '7') {
      read_octal();
    } else if (c == 'x' || c == 'u' || c == 'U') {
      read_hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      fault("\\N{{...}} escapes are not supported");
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      keep_escaped();
    } else {
      out_.push_back('\\');
    }
  }

 private:
  void read_octal() {
    char32_t code = 0;
    for (int i = 0; i < 3 && position_ < text_.size(); ++i, ++position_) {
      const char c = text_[position_];
      if (c < '0' || c > '7') break;
      code = code * 8 + static_cast<char32_t>(c - '0');
    }
    append_utf8(out_, code);
  }

  void read_hex(int digits) {
    ++position_;
    std::uint64_t code = 0;
    for (int i = 0; i < digits; ++i, ++position_) {
      const int digit = position_ < text_.size() ? hex_digit(text_[position_]) : -1;
      if (digit < 0) fault("truncated escape in a string");
      code = code * 16 + static_cast<std::uint64_t>(digit);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fault("the escape for U+{:04X} in a string is no character", code);
    }
    append_utf8(out_, static_cast<char32_t>(code));
  }

  /// Jinja2 escapes the text to ASCII first, so that a backslash before another character meets
  /// that character's own backslash and leaves its code.
  void keep_escaped() {
    const auto code = static_cast<std::uint32_t>(next_code_point(text_, position_));
    out_ += code < 0x100     ? fmt::format("\\x{:02x}", code)
            : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                             : fmt::format("\\U{:08x}", code);
  }

  std::string_view text_;
  std::size_t& position_;
  std::string& out_;
};

std::string escape_code(char32_t c) {
  const auto code = static_cast<std::uint32_t>(c);
  if (c < 0x100) return fmt::format("\\x{:02x}", code);
  return c < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

void append_json_code(std::string& out, std::uint32_t code) {
  if (code >= 0x10000) {
    append_json_code(out, 0xD800 + ((code - 0x10000) >> 10));
    append_json_code(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
  } else {
    out += fmt::format("\\u{:04x}", code);
  }
}

/// The letter of a two-character escape in JSON, 0 if `c` has none.
char json_letter(char32_t c) {
  switch (c) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\f':
      return 'f';
    case '\b':
      return 'b';
    default:
      return '\0';
  }
}

}  // namespace

std::string unescape(std::string_view literal) {
  std::string out;
  for (std::size_t i = 0; i < literal.size();) {
    if (literal[i] != '\\') {
      out.push_back(literal[i++]);
      continue;
    }
    if (++i == literal.size()) fault("a string ends in a backslash");
    EscapeReader(literal, i, out).read();
  }
  return out;
}

std::string python_quoted(std::string_view text) {
  const bool doubles = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = doubles ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else {
      out += escape_code(c);
    }
  }
  out.push_back(quote);
  return out;
}

std::string json_quoted(std::string_view text, bool ascii_only) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    if (const char letter = json_letter(c)) {
      out.push_back('\\');
      out.push_back(letter);
    } else if (c < 0x20 || (ascii_only && c >= 0x7F)) {
      append_json_code(out, static_cast<std::uint32_t>(c));
    } else {
      append_utf8(out, c);
    }
  }
  out.push_back('"');
  return out;
}

}  // namespace trireme::jinja
