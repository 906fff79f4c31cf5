// Byte pair encoding: a word's characters, merged in the order that training found (Sennrich et
// al. 2016, https://aclanthology.org/P16-1162), with sentencepiece's byte fallback.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model_texts.h"
#include "text/model.h"
#include "text/word_cache.h"

namespace trireme::text {

class JsonView;

/// How a BPE model treats what is not in its vocabulary.
struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  ///< a whole word that is in the vocabulary is one token
};

/// A pair of adjacent tokens that becomes one: `rank` is its place in training's order.
struct Merge {
  std::int32_t rank, result;
};

/// The merges by pair: open addressing, read-only after loading.
class MergeTable {
 public:
  void reserve(std::size_t merges);
  /// Adds a merge; a later one for the same pair replaces the earlier.
  void add(std::int32_t left, std::int32_t right, Merge merge);
  const Merge* find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    Merge merge{};
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

class Bpe final : public Model {
 public:
  /// Memory that one word after another reuses.
  struct Scratch;

  Bpe(TokenTable vocabulary, BpeOptions options);

  /// Adds the merge of `left` and `right`, the next in rank. Error (input), starting with `where`,
  /// when one of them or their union is not in the vocabulary.
  void add_merge(std::string_view left, std::string_view right, std::string_view where);
  void reserve_merges(std::size_t merges) { merges_.reserve(merges); }

  void encode(const Splits& splits, std::vector<std::int32_t>& ids) const override;

 private:
  void encode_word(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& ids) const;
  std::optional<std::int32_t> find_character(std::string_view character) const;
  void add_symbols(std::string_view word, Scratch& scratch) const;
  bool add_bytes(std::string_view character, Scratch& scratch) const;
  void merge_symbols(Scratch& scratch) const;

  MergeTable merges_;
  BpeOptions options_;
  std::optional<std::int32_t> unk_id_;
  std::vector<std::int32_t> short_characters_;  // ids of the characters below U+0800, or -1
  std::vector<std::int32_t> byte_ids_;          // ids of <0x00> to <0xFF>, or -1
  std::int32_t next_rank_ = 0;
  std::string joined_;  // reused while loading
  mutable WordCache cache_;
};

struct Bpe::Scratch {
  struct Symbol {
    std::int32_t id;  // -1: merged into another
    std::int32_t previous, next;
  };
  struct Candidate {
    std::int32_t rank, position, result;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
};

/// Reads the "model" of a tokenizer file. Error (input) names an unknown or malformed one.
std::unique_ptr<Bpe> read_bpe(const JsonView& json);

/// Reads GPT-2's pair of files, vocab.json and merges.txt: an object, and one merge a line.
std::unique_ptr<Bpe> read_bpe_files(const ModelTexts& texts);

}  // namespace trireme::text
