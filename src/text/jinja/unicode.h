// UTF-8 text as Python sees a str: a sequence of code points.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace trireme::jinja {

/// Whether every byte belongs to a well-formed UTF-8 sequence (no surrogates, nothing over-long).
bool valid_utf8(std::string_view text);

/// The code point at `position`, which moves behind it. A malformed byte reads as U+FFFD.
char32_t next_code_point(std::string_view text, std::size_t& position);

/// Where the last character of a text begins that is not empty.
std::size_t last_character(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view text);
bool is_ascii(std::string_view text);
std::size_t code_point_count(std::string_view text);

/// Python's str.isspace for one character.
bool is_space(char32_t c);
/// What str.splitlines breaks at.
bool is_line_break(char32_t c);
/// Whether repr() shows the character itself rather than an escape.
bool is_printable(char32_t c);
/// Letter, mark, digit, connector: what the lexer takes into a name.
bool is_word(char32_t c);
bool is_alpha(char32_t c);
bool is_digit(char32_t c);
bool is_decimal(char32_t c);

/// str.upper and friends, full mappings included: one character may become three.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// str.title: every letter after a non-letter in title case, the others in lower case.
std::string title(std::string_view text);
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);
bool is_lower(std::string_view text);
bool is_upper(std::string_view text);

enum class Side { left, right, both };
/// str.strip: of white space when `characters` is null, else of any character in it.
std::string_view strip(std::string_view text, Side side, const std::string_view* characters);
inline std::string_view strip(std::string_view text, Side side = Side::both) {
  return strip(text, side, nullptr);
}

}  // namespace trireme::jinja
