// Properties of characters and normalisation forms, each exactly as the Unicode version says that
// the Hugging Face tokenizers were built with.
#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/error.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

bool contains(std::span<const CodePointRange> ranges, char32_t c) {
  const auto after = std::ranges::upper_bound(ranges, c, {}, &CodePointRange::first);
  return after != ranges.begin() && c <= std::prev(after)->last;
}

const NewerRange* find_newer(char32_t c) {
  const auto ranges = newer_than_unicode_14();
  const auto after = std::ranges::upper_bound(ranges, c, {}, &NewerRange::first);
  if (after == ranges.begin() || c > std::prev(after)->last) return nullptr;
  return &*std::prev(after);
}

// General category of Unicode 16, as the value that utf8proc gives it.
int category(char32_t c) {
  const NewerRange* newer = find_newer(c);
  return newer ? static_cast<int>(newer->category)
               : static_cast<int>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
}

bool between(int value, int first, int last) { return value >= first && value <= last; }

// An older character of this category: three bytes in UTF-8 where `c` has three, else four.
char32_t older_character(char32_t c, Category newer) {
  const bool three_bytes = c < 0x10000;
  switch (newer) {
    case Category::Lu:
      return three_bytes ? 0x1E00 : 0x10400;
    case Category::Ll:
      return three_bytes ? 0x1E01 : 0x10428;
    case Category::Lm:
      return three_bytes ? 0x1D2C : 0x16F93;
    // The newer characters of the supplementary planes 2 and 3 are Han ideographs.
    case Category::Lo:
      return three_bytes ? 0x0E01 : c >= 0x20000 ? 0x20000 : 0x10000;
    case Category::Mn:
      return three_bytes ? 0x0E31 : 0x101FD;
    case Category::Mc:
      return three_bytes ? 0x0903 : 0x11000;
    case Category::Nd:
      return three_bytes ? 0x0966 : 0x104A0;
    case Category::No:
      return three_bytes ? 0x2460 : 0x10107;
    case Category::Pd:
      return three_bytes ? 0x2010 : 0x10EAD;
    case Category::Po:
      return three_bytes ? 0x2016 : 0x10100;
    case Category::Sm:
      return three_bytes ? 0x2201 : 0x1D6C1;
    case Category::So:
      return three_bytes ? 0x2300 : 0x10137;
    case Category::Cf:
      return three_bytes ? 0x2060 : 0x110BD;
  }
  return c;
}

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// The canonical order: marks that follow one another by their class, otherwise as they were.
// utf8proc_map exchanges neighbours for that: a megabyte of nothing but marks takes minutes.
void sort_marks(std::vector<utf8proc_int32_t>& characters) {
  for (auto begin = characters.begin(); begin != characters.end();) {
    const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
    begin = std::find_if_not(begin, characters.end(), is_starter);
    const auto end = std::find_if(begin, characters.end(), is_starter);
    if (end - begin > 1) std::ranges::stable_sort(begin, end, {}, combining_class);
    begin = end;
  }
}

void append_normalized(std::string& out, std::string_view text, int form) {
  const auto options = static_cast<utf8proc_option_t>(form | UTF8PROC_STABLE);
  constexpr int kLongest = 32;  // U+FDFA has 18 characters in compatibility form
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  int boundary_class = UTF8PROC_BOUNDCLASS_START;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<utf8proc_int32_t>(next_code_point(text, at));
    std::array<utf8proc_int32_t, kLongest> parts{};
    const auto count = utf8proc_decompose_char(c, parts.data(), kLongest, options, &boundary_class);
    TRIREME_ASSERT(count >= 0 && count <= kLongest);
    characters.insert(characters.end(), parts.begin(), parts.begin() + count);
  }
  sort_marks(characters);
  auto count = static_cast<utf8proc_ssize_t>(characters.size());
  if ((form & UTF8PROC_COMPOSE) != 0) {
    count = utf8proc_normalize_utf32(characters.data(), count, options);
    TRIREME_ASSERT(count >= 0);
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_utf8(out, static_cast<char32_t>(characters[static_cast<std::size_t>(i)]));
  }
}

int form_options(Form form) {
  switch (form) {
    case Form::nfc:
      return UTF8PROC_COMPOSE;
    case Form::nfd:
      return UTF8PROC_DECOMPOSE;
    case Form::nfkc:
      return UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case Form::nfkd:
      return UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

// Below these every character is its own normal form and never takes part in another's.
char32_t first_affected(Form form) {
  return form == Form::nfc ? 0x300 : form == Form::nfd ? 0xC0 : 0xA0;
}

bool is_normal_already(std::string_view text, char32_t limit) {
  for (std::size_t at = 0; at < text.size();) {
    if (next_code_point(text, at) >= limit) return false;
  }
  return true;
}

}  // namespace

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return between(category(c), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) ||
         contains(numeric_since_unicode_17(), c);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80)
    return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
           (c > 'z' && c < 0x7F);
  if (contains(punctuation_until_unicode_8(), c)) return true;
  return between(category(c), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO) &&
         !contains(punctuation_since_unicode_8(), c);
}

bool is_word(char32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
  }
  if (c == 0x200C || c == 0x200D) return true;
  // Other_Alphabetic beyond the marks: the circled, squared and other enclosed Latin letters.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
      (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189)) {
    return true;
  }
  const int value = category(c);
  return between(value, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
         value == UTF8PROC_CATEGORY_PC;
}

bool is_combining_mark(char32_t c) {
  if (c < 0x300) return false;
  if (contains(marks_until_unicode_8(), c)) return true;
  return between(category(c), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME) &&
         !contains(marks_since_unicode_8(), c);
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  if (contains(nonspacing_until_unicode_8(), c)) return true;
  return category(c) == UTF8PROC_CATEGORY_MN && !contains(nonspacing_since_unicode_8(), c);
}

bool is_removed_by_clean_text(char32_t c) {
  if (c >= ' ' && c < 0x7F) return false;
  return contains(removed_by_clean_text(), c);
}

void append_lowercase(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    return;
  }
  if (c == 0x130) {  // the one character with a longer lowercase form that needs no context
    out += "i\xCC\x87";
    return;
  }
  const auto exceptions = lowercase_since_unicode_15();
  const auto after = std::ranges::upper_bound(exceptions, c, {}, &LowercaseRange::first);
  if (after != exceptions.begin() && c <= std::prev(after)->last) {
    return append_utf8(out, std::prev(after)->first_lowercase + (c - std::prev(after)->first));
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

std::string normalize(std::string_view text, Form form) {
  if (is_normal_already(text, first_affected(form))) return std::string(text);
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    if (!contains(inert_in_normalization(), next_code_point(text, at))) continue;
    append_normalized(out, text.substr(start, here - start), form_options(form));
    out += text.substr(here, at - here);
    start = at;
  }
  append_normalized(out, text.substr(start), form_options(form));
  return out;
}

bool append_with_older_characters(std::string& out, std::string_view text) {
  const char32_t lowest = newer_than_unicode_14().front().first;
  const std::size_t start = out.size();
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    const char32_t c = next_code_point(text, at);
    const NewerRange* newer = c < lowest ? nullptr : find_newer(c);
    if (!newer) continue;
    out += text.substr(copied, here - copied);
    append_utf8(out, older_character(c, newer->category));
    copied = at;
  }
  if (copied == 0) return false;
  out += text.substr(copied);
  TRIREME_ASSERT(out.size() - start == text.size());
  return true;
}

}  // namespace trireme::text
