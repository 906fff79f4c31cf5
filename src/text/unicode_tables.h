// Where Unicode versions differ: the characters that Debian's libraries and the Hugging Face
// tokenizers see differently. Made by comparing the two on every code point
// (tools/tokenizers/unicode_tables.py).
#pragma once

#include <utf8proc.h>

#include <span>

namespace trireme::text {

struct CodePointRange {
  char32_t first, last;
};

/// The general categories that new characters have had since Unicode 14.
enum class Category {
  Lu = UTF8PROC_CATEGORY_LU,
  Ll = UTF8PROC_CATEGORY_LL,
  Lm = UTF8PROC_CATEGORY_LM,
  Lo = UTF8PROC_CATEGORY_LO,
  Mn = UTF8PROC_CATEGORY_MN,
  Mc = UTF8PROC_CATEGORY_MC,
  Nd = UTF8PROC_CATEGORY_ND,
  No = UTF8PROC_CATEGORY_NO,
  Pd = UTF8PROC_CATEGORY_PD,
  Po = UTF8PROC_CATEGORY_PO,
  Sm = UTF8PROC_CATEGORY_SM,
  So = UTF8PROC_CATEGORY_SO,
  Cf = UTF8PROC_CATEGORY_CF,
};

struct NewerRange {
  char32_t first, last;
  Category category;
};

struct LowercaseRange {
  char32_t first, last, first_lowercase;
};

// All are sorted and do not overlap.

/// Assigned, or moved to another general category, by Unicode 15 to 16.
std::span<const NewerRange> newer_than_unicode_14();
/// N* that Unicode 17 added.
std::span<const CodePointRange> numeric_since_unicode_17();
/// P* that Unicode 9 to 16 added, and what it was before but is no longer.
std::span<const CodePointRange> punctuation_since_unicode_8();
std::span<const CodePointRange> punctuation_until_unicode_8();
/// M* likewise.
std::span<const CodePointRange> marks_since_unicode_8();
std::span<const CodePointRange> marks_until_unicode_8();
/// Mn likewise.
std::span<const CodePointRange> nonspacing_since_unicode_8();
std::span<const CodePointRange> nonspacing_until_unicode_8();
/// What BertNormalizer removes with clean_text: all of it, not only where libraries differ.
std::span<const CodePointRange> removed_by_clean_text();
/// Lowercase mappings that Unicode 16 and 17 added.
std::span<const LowercaseRange> lowercase_since_unicode_15();
/// Characters with a combining class, a decomposition or a composition newer than Unicode 9.
std::span<const CodePointRange> inert_in_normalization();

}  // namespace trireme::text
