// Unigram: the cut of a word into tokens whose scores have the largest sum (Kudo 2018,
// https://arxiv.org/abs/1804.10959), found by Viterbi's algorithm.
#pragma once

#include <array>
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

/// A token and the logarithm of its probability; its place in the vocabulary is its id.
struct ScoredToken {
  std::string text;
  double score;
};

class Unigram final : public Model {
 public:
  /// Without `unk_id`, a text with an unknown character is an Error (input) when it is encoded.
  /// Error (input), starting with `where`, when the vocabulary cannot be one.
  Unigram(const std::vector<ScoredToken>& tokens, std::optional<std::int32_t> unk_id,
          bool byte_fallback, std::string_view where);
  void encode(const Splits& splits, std::vector<std::int32_t>& ids) const override;

 private:
  /// The best way to cut the text up to a place: the last token of it, and where that begins.
  struct Best {
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    double score = 0;
    std::uint32_t begin = kNone;
    std::int32_t id = 0;
  };
  struct Scratch {
    std::vector<Best> best;                // by the place where the token ends
    std::vector<std::uint32_t> backwards;  // the places of the best path, the last first
  };

  void encode_word(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& ids) const;
  void find_best(std::string_view word, std::vector<Best>& best) const;
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  std::vector<double> scores_;
  std::optional<std::int32_t> unk_id_;
  double unk_score_;
  Trie trie_;
  std::optional<std::array<std::int32_t, 256>> byte_ids_;  // of <0x00> to <0xFF>, or -1
  mutable WordCache cache_;
};

/// Reads the "model" of a tokenizer file.
std::unique_ptr<Model> read_unigram(const JsonView& json);

}  // namespace trireme::text
