// Upper, lower and title case as Python's str computes them: Unicode's full mappings.
#include <utf8proc.h>

#include <algorithm>

#include "text/jinja/special_casing.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_cased(char32_t c) {
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL ||
         kind == UTF8PROC_CATEGORY_LT;
}

/// Unicode's Case_Ignorable: what the final sigma rule looks through.
bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2018 || c == 0x2019;
  }
}

const SpecialCase* special_case(char32_t c) {
  const auto* found = std::lower_bound(
      std::begin(special_cases), std::end(special_cases), c,
      [](const SpecialCase& entry, char32_t key) { return entry.code_point < key; });
  return found != std::end(special_cases) && found->code_point == c ? found : nullptr;
}

void append_upper(std::u32string& out, char32_t c) {
  if (const auto* special = special_case(c)) {
    out += special->upper;
  } else {
    out.push_back(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::u32string& out, char32_t c) {
  if (const auto* special = special_case(c)) {
    out += special->title;
  } else {
    out.push_back(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

/// Whether the capital sigma at `i` ends a word: a cased letter before it and none behind it.
bool is_final_sigma(std::u32string_view text, std::size_t i) {
  std::size_t before = i;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  std::size_t after = i + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(std::u32string& out, std::u32string_view text, std::size_t i) {
  constexpr char32_t capital_sigma = 0x3A3;
  constexpr char32_t capital_i_with_dot = 0x130;
  const char32_t c = text[i];
  if (c == capital_sigma) {
    out.push_back(is_final_sigma(text, i) ? 0x3C2 : 0x3C3);
  } else if (c == capital_i_with_dot) {
    out += U"i\x0307";
  } else {
    out.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

/// Whether all cased characters of `text` are of one kind and there is at least one.
template <typename Other>
bool all_cased(std::string_view text, utf8proc_category_t wanted, Other is_other) {
  bool any = false;
  for (const char32_t c : decode(text)) {
    if (is_other(category(c))) return false;
    any = any || category(c) == wanted;
  }
  return any;
}

}  // namespace

std::string upper(std::string_view text) {
  std::u32string out;
  for (const char32_t c : decode(text)) append_upper(out, c);
  return encode(out);
}

std::string lower(std::string_view text) {
  const std::u32string characters = decode(text);
  std::u32string out;
  for (std::size_t i = 0; i < characters.size(); ++i) append_lower(out, characters, i);
  return encode(out);
}

std::string title(std::string_view text) {
  const std::u32string characters = decode(text);
  std::u32string out;
  bool within_word = false;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    within_word ? append_lower(out, characters, i) : append_title(out, characters[i]);
    within_word = is_cased(characters[i]);
  }
  return encode(out);
}

std::string capitalize(std::string_view text) {
  const std::u32string characters = decode(text);
  std::u32string out;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    i == 0 ? append_title(out, characters[i]) : append_lower(out, characters, i);
  }
  return encode(out);
}

std::string swap_case(std::string_view text) {
  const std::u32string characters = decode(text);
  std::u32string out;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const auto kind = category(characters[i]);
    kind == UTF8PROC_CATEGORY_LU   ? append_lower(out, characters, i)
    : kind == UTF8PROC_CATEGORY_LL ? append_upper(out, characters[i])
                                   : out.push_back(characters[i]);
  }
  return encode(out);
}

bool is_lower(std::string_view text) {
  return all_cased(text, UTF8PROC_CATEGORY_LL, [](utf8proc_category_t kind) {
    return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LT;
  });
}

bool is_upper(std::string_view text) {
  return all_cased(text, UTF8PROC_CATEGORY_LU, [](utf8proc_category_t kind) {
    return kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
  });
}

}  // namespace trireme::jinja
