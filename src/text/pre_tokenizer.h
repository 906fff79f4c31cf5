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

/// BertPreTokenizer, which vocab.txt implies.
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer();

/// Where Metaspace puts a space: before every part of the text between added tokens, before the
/// text only, or nowhere.
enum class MetaspacePrepend { always, first, never };

/// Metaspace with U+2581, which sentencepiece's models imply.
std::unique_ptr<PreTokenizer> make_metaspace_pre_tokenizer(MetaspacePrepend prepend);

/// Qwen2's Split and ByteLevel, which its vocab.json and merges.txt imply.
std::unique_ptr<PreTokenizer> make_qwen2_pre_tokenizer();

}  // namespace trireme::text
