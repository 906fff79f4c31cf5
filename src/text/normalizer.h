// The "normalizer" of a tokenizer file: what happens to the text before it is cut into words.
#pragma once

#include <memory>
#include <string>

#include "text/unicode.h"
#include "text/utf8.h"

namespace trireme::text {

class JsonView;

/// A text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// How many of its first bytes come from the first character of the input (see Piece::origin).
  std::size_t origin = 0;
};

/// Replaces every character by what `append(character, out)` appends, maybe nothing.
template <typename Append>
void rewrite_characters(NormalizedText& text, Append append) {
  std::string out;
  out.reserve(text.text.size() + text.text.size() / 8);
  std::size_t origin = 0;
  for (std::size_t at = 0; at < text.text.size();) {
    append(next_code_point(text.text, at), out);
    if (at <= text.origin) origin = out.size();
  }
  text = {std::move(out), origin};
}

/// Puts a text into a Unicode normal form.
void normalize_to(NormalizedText& text, Form form);

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;
};

/// Reads a normalizer and everything in it. Error (input) names an unknown or malformed one.
std::unique_ptr<Normalizer> read_normalizer(const JsonView& json);

/// The Unicode normal form C, which Qwen2's tokenizer files without a tokenizer.json imply.
std::unique_ptr<Normalizer> make_nfc_normalizer();

/// No white space at the end, and one U+2581 for several spaces, after `first` where there is one:
/// what sentencepiece's models imply in `transformers`.
std::unique_ptr<Normalizer> make_sentencepiece_normalizer(std::unique_ptr<Normalizer> first);

}  // namespace trireme::text
