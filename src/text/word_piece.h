// WordPiece: a word is the longest token that it begins with, then the longest that goes on from
// there, and so on (Schuster and Nakajima 2012, https://research.google/pubs/pub37842).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.h"
#include "text/trie.h"
#include "text/word_cache.h"

namespace trireme::text {

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  std::int64_t max_input_chars_per_word = 100;  ///< a longer word is unknown
};

class WordPiece final : public Model {
 public:
  WordPiece(TokenTable vocabulary, WordPieceOptions options);
  void encode(const Splits& splits, std::vector<std::int32_t>& ids) const override;

 private:
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;
  bool is_too_long(std::string_view word) const;
  bool append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const;

  WordPieceOptions options_;
  std::optional<std::int32_t> unk_id_;
  Trie initial_;
  Trie continuing_;  // without the prefix
  mutable WordCache cache_;
};

/// A word is a token, or unknown.
class WordLevel final : public Model {
 public:
  WordLevel(TokenTable vocabulary, std::string unk_token);
  void encode(const Splits& splits, std::vector<std::int32_t>& ids) const override;

 private:
  std::string unk_token_;
  std::optional<std::int32_t> unk_id_;
};

/// Read the "model" of a tokenizer file.
std::unique_ptr<Model> read_word_piece(const JsonView& json);
std::unique_ptr<Model> read_word_level(const JsonView& json);

/// Reads BERT's vocab.txt: a token a line, whose number is its id. `name` names it in errors.
TokenTable read_vocabulary_lines(std::string_view text, std::string_view name);

}  // namespace trireme::text
