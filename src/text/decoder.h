// The "decoder" of a tokenizer file: how tokens become text again, one token at a time.
//
// `tokenizers` decodes a list of tokens at once. Here every step is a stage that is handed pieces
// of tokens, and passes on what no later token can change. Decoding a whole text and streaming it
// are therefore the same computation.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::text {

class JsonView;

/// A decoding under way: one step of it, and through `next` all that follow.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;

  /// Part of the current token; together the parts are valid UTF-8.
  virtual void write(std::string_view part) = 0;
  virtual void end_token() = 0;
  /// No further token follows.
  virtual void finish() { next_->finish(); }

  void set_next(std::unique_ptr<DecodeStage> next) { next_ = std::move(next); }

 protected:
  DecodeStage& next() { return *next_; }

 private:
  std::unique_ptr<DecodeStage> next_;
};

/// One step of a decoder, from which any number of decodings may be started at a time.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  virtual std::unique_ptr<DecodeStage> start() const = 0;
};

/// A decoder: its steps in order.
class Decoder {
 public:
  void add(std::unique_ptr<DecodeStep> step) { steps_.push_back(std::move(step)); }
  /// A decoding whose result is appended to `out`, which must outlive it.
  std::unique_ptr<DecodeStage> start(std::string& out) const;

 private:
  std::vector<std::unique_ptr<DecodeStep>> steps_;
};

/// Reads a decoder and everything in it. Error (input) names an unknown or malformed one.
Decoder read_decoder(const JsonView& json);

/// The ByteLevel decoder, which GPT-2's vocab.json implies.
Decoder make_byte_level_decoder();

/// The WordPiece decoder, which BERT's vocab.txt implies.
Decoder make_word_piece_decoder();

/// The Metaspace decoder with U+2581, which sentencepiece's models imply; `drop_first`: text begins
/// without its space.
Decoder make_metaspace_decoder(bool drop_first);

/// What a tokenizer file without a decoder means: the tokens with spaces between them.
Decoder make_joining_decoder();

}  // namespace trireme::text
