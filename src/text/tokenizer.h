// Text to token ids and back, as the `tokenizers` library of Hugging Face does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/model_texts.h"
#include "text/encoding.h"

namespace trireme {

namespace text {
class DecodeStage;
}

/// A tokenizer loaded from a model directory. All members are const and thread-safe.
///
/// Equal to `tokenizers.Tokenizer.from_file(..)` in encode(..).ids and decode(..), with two
/// exceptions: the file's truncation and padding are ignored (they are settings of a training run,
/// not of the model), and what `tokenizers` leaves at random (dropout) is refused. Where releases
/// differ it is 0.23 that counts: an added token with `normalized` decodes to its normalized form.
/// decode() is the tokenizer's own; the clean-up of spaces before punctuation that `transformers`
/// may add (clean_up_tokenization_spaces) changes text after the fact, and is left out.
class Tokenizer {
 public:
  /// Loads tokenizer.json, or else with tokenizer_config.json vocab.json and merges.txt (GPT-2,
  /// Qwen2, RoBERTa), vocab.txt (BERT, DistilBERT) or spiece.model (T5). Error (input) names the
  /// file and what is wrong with it.
  static std::unique_ptr<Tokenizer> load(const ModelTexts& texts);
  /// The same, from a model directory.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& model_directory);
  /// Reads the text of a tokenizer.json; `name` stands for the file in errors.
  static std::unique_ptr<Tokenizer> from_json(std::string_view json,
                                              std::string name = "tokenizer.json");
  ~Tokenizer();

  /// Token ids of `text` (UTF-8). Special and added tokens in the text are recognised; with
  /// `add_special_tokens` the post-processor's (such as a leading <s>) are added. Error (input),
  /// with the byte offset, when the text is not valid UTF-8.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = true) const;

  /// The same for one text or for a pair of them, with the types of the tokens and a limit. Error
  /// (input) also when the special tokens alone exceed the limit, or when the file says nothing
  /// that can be meant about pairs.
  Encoding encode_segments(std::string_view first, std::optional<std::string_view> second,
                           const EncodeOptions& options = {}) const;

  /// The text of `ids`. Ids that no token has are passed over. What is not valid UTF-8 becomes
  /// U+FFFD.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special_tokens = true) const;

  /// The highest id and one; a model's logits may have more columns.
  std::int32_t vocab_size() const;
  std::optional<std::int32_t> token_to_id(std::string_view token) const;
  /// The token as the vocabulary spells it, or nothing when there is none with this id.
  std::optional<std::string_view> id_to_token(std::int32_t id) const;
  bool is_special(std::int32_t id) const;

 private:
  friend class StreamDecoder;
  friend class TokenizerBuilder;
  struct Parts;
  explicit Tokenizer(std::unique_ptr<Parts> parts);

  /// The tokens of a text, without any around it.
  std::vector<std::int32_t> tokenize(std::string_view text) const;
  std::size_t special_tokens_beside(bool is_pair, const EncodeOptions& options) const;
  /// A decoding that appends to `out`, to be fed by feed().
  std::unique_ptr<text::DecodeStage> start_decoding(std::string& out) const;
  void feed(text::DecodeStage& decoding, std::int32_t id, bool skip_special_tokens) const;

  std::unique_ptr<Parts> parts_;
};

/// Turns a stream of ids into text: never half a character, and never text that a later token
/// changes. All that push() and finish() returned, put together, is what decode() returns.
class StreamDecoder {
 public:
  /// `tokenizer` must outlive it.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  ~StreamDecoder();

  /// The text that is certain now and was not before; may be empty.
  std::string push(std::int32_t id);
  /// What is left when no further id follows. Then the decoder starts anew.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  std::unique_ptr<std::string> out_;
  std::unique_ptr<text::DecodeStage> decoding_;
};

}  // namespace trireme
