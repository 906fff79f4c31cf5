// The "normalizer" of a tokenizer file: what happens to the text before it is cut into words.
#pragma once

#include <memory>
#include <string>

namespace trireme::text {

class JsonView;

/// A text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// How many of its first bytes come from the first character of the input (see Piece::origin).
  std::size_t origin = 0;
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;
};

/// Reads a normalizer and everything in it. Error (input) names an unknown or malformed one.
std::unique_ptr<Normalizer> read_normalizer(const JsonView& json);

/// The Unicode normal form C, which Qwen2's tokenizer files without a tokenizer.json imply.
std::unique_ptr<Normalizer> make_nfc_normalizer();

}  // namespace trireme::text
