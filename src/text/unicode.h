// Properties of characters and normalisation forms, each exactly as the Unicode version says that
// the Hugging Face tokenizers were built with.
#pragma once

#include <string>
#include <string_view>

namespace trireme::text {

/// White_Space of Unicode 16: what `\s` is in every regex engine that tokenizer files were made
/// for.
bool is_white_space(char32_t c);
/// General category N* (Nd, Nl, No), as Rust's char::is_numeric.
bool is_numeric(char32_t c);
/// ASCII punctuation and symbols, and P* of Unicode 8, as the Punctuation pre-tokenizer has it.
bool is_punctuation(char32_t c);
/// `\w` of Rust's regex crate: Alphabetic, M, Nd, Pc and Join_Control.
bool is_word(char32_t c);
/// What StripAccents removes: M* of Unicode 8.
bool is_combining_mark(char32_t c);

/// What BertNormalizer's strip_accents removes: Mn of Unicode 8.
bool is_nonspacing_mark(char32_t c);
/// What BertNormalizer's clean_text removes: U+0000, U+FFFD, and Cc, Cf and Co of Unicode 8 but for
/// tab, line feed and carriage return.
bool is_removed_by_clean_text(char32_t c);

/// Appends the full lowercase mapping of `c`.
void append_lowercase(std::string& out, char32_t c);

enum class Form { nfc, nfd, nfkc, nfkd };
/// `text` (valid UTF-8) in a normalisation form of Unicode 9, the one that `tokenizers` uses:
/// characters assigned later are left as they are.
std::string normalize(std::string_view text, Form form);

/// Appends `text` with every character that was assigned after Unicode 14 replaced by an older one
/// of the same general category and the same UTF-8 length, so that a regex engine that knows only
/// Unicode 14 (PCRE2 10.42) sees what one that knows Unicode 16 would see. Returns false, and
/// appends nothing, when there is no such character.
bool append_with_older_characters(std::string& out, std::string_view text);

}  // namespace trireme::text
