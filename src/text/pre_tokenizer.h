// The "pre_tokenizer" of a tokenizer file: how the normalized text is cut into words.
#pragma once

#include <memory>

#include "text/splits.h"

namespace trireme::text {

class JsonView;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Splits& splits) const = 0;
};

/// Reads a pre-tokenizer and everything in it. Error (input) names an unknown or malformed one.
std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonView& json);

/// ByteLevel with GPT-2's pattern, which vocab.json and merges.txt imply.
std::unique_ptr<PreTokenizer> make_gpt2_pre_tokenizer(bool add_prefix_space);

/// Qwen2's Split and ByteLevel, which its vocab.json and merges.txt imply.
std::unique_ptr<PreTokenizer> make_qwen2_pre_tokenizer();

}  // namespace trireme::text
