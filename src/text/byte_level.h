// GPT-2's alphabet: every byte as a printable character, so that vocabularies hold no control
// characters or spaces (https://github.com/openai/gpt-2/blob/master/src/encoder.py).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trireme::text {

/// Appends one character for each byte of `bytes`.
void append_byte_level(std::string& out, std::string_view bytes);

/// The bytes that the characters of `token` (valid UTF-8) stand for; `token` itself when it holds
/// a character outside the alphabet. Appends to `out`.
void append_from_byte_level(std::string& out, std::string_view token);

/// GPT-2's pre-tokenization pattern, the one that ByteLevel uses with use_regex.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace trireme::text
