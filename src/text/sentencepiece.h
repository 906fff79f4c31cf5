// SentencePiece's model files (spiece.model): what a tokenizer needs of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::text {

struct SentencePieceModel {
  enum Type : std::int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4 };
  static constexpr std::int64_t kUnigram = 1;  // of model_type

  struct Piece {
    std::string text;
    float score = 0;
    std::int64_t type = normal;
  };
  std::vector<Piece> pieces;  // by id
  std::int64_t model_type = kUnigram;
  std::int64_t unk_id = 0;
  std::string charsmap;  // the precompiled normalization rules, maybe none
};

/// Reads the protocol buffer message ModelProto of
/// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto. Error
/// (input), starting with `where`, when `bytes` is none or holds what cannot be meant.
SentencePieceModel read_sentencepiece(std::string_view bytes, std::string_view where);

}  // namespace trireme::text
