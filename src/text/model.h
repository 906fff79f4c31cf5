// What turns the words of a text into token ids: BPE, WordPiece, Unigram or WordLevel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "text/splits.h"
#include "text/token_table.h"

namespace trireme::text {

class JsonView;

/// A trained model. Everything is const and may run on any number of threads.
class Model {
 public:
  explicit Model(TokenTable vocabulary)
      : vocabulary_(std::move(vocabulary)), vocabulary_size_(vocabulary_.size()) {}
  /// `vocabulary_size`: with tokens that the file lists twice.
  Model(TokenTable vocabulary, std::size_t vocabulary_size)
      : vocabulary_(std::move(vocabulary)), vocabulary_size_(vocabulary_size) {}
  virtual ~Model() = default;

  /// Appends the ids of all pieces, in order; a piece that has an id keeps it.
  virtual void encode(const Splits& splits, std::vector<std::int32_t>& ids) const = 0;

  const TokenTable& vocabulary() const { return vocabulary_; }
  /// The id of the first token that is added to the model.
  std::size_t vocabulary_size() const { return vocabulary_size_; }

 protected:
  /// Calls `encode_word(word)`, which appends to `ids`, for every piece without an id.
  template <typename EncodeWord>
  static void encode_pieces(const Splits& splits, std::vector<std::int32_t>& ids,
                            EncodeWord encode_word) {
    for (const Piece& piece : splits.pieces) {
      if (piece.id != Piece::kNoId) {
        ids.push_back(piece.id);
      } else {
        encode_word(splits.view(piece));
      }
    }
  }

 private:
  TokenTable vocabulary_;
  std::size_t vocabulary_size_;
};

/// Reads the "model" of a tokenizer file. Error (input) names an unknown or malformed one.
std::unique_ptr<Model> read_model(const JsonView& json);

/// Reads a vocabulary that is an object of ids by token.
TokenTable read_vocabulary(const JsonView& json);

}  // namespace trireme::text
