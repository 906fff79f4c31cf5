// Byte pair encoding: a word's characters, merged in the order that training found.
#include "text/bpe.h"

#include <algorithm>

#include "core/error.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

constexpr char32_t kShortCharacters = 0x800;

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// Min-heap on the rank, then the position. The standard heap functions keep the largest on top.
bool comes_later(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

void MergeTable::reserve(std::size_t merges) {
  std::size_t slots = 64;
  while (slots < 2 * merges) slots *= 2;
  if (slots <= slots_.size()) return;
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.pair != kEmpty) slots_[slot_of(slot.pair)] = slot;
  }
}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  // Multiplying by 2^64 over the golden ratio spreads neighbouring ids (Knuth, TAOCP 6.4).
  std::size_t at = (pair * 0x9E3779B97F4A7C15u >> 32) & (slots_.size() - 1);
  while (slots_[at].pair != kEmpty && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void MergeTable::add(std::int32_t left, std::int32_t right, Merge merge) {
  reserve(size_ + 1);
  Slot& slot = slots_[slot_of(pair_of(left, right))];
  if (slot.pair == kEmpty) ++size_;
  slot = {pair_of(left, right), merge};
}

const Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  if (slots_.empty()) return nullptr;
  const Slot& slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == kEmpty ? nullptr : &slot.merge;
}

Bpe::Bpe(TokenTable vocabulary, BpeOptions options)
    : Model(std::move(vocabulary)), options_(std::move(options)) {
  const TokenTable& known = Model::vocabulary();
  if (options_.unk_token) unk_id_ = known.find(*options_.unk_token);
  std::string name;
  for (char32_t c = 0; c < kShortCharacters; ++c) {
    name.clear();
    append_utf8(name, c);
    short_characters_.push_back(known.find(name).value_or(-1));
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_ids_.push_back(known.find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, std::string_view where) {
  const std::size_t prefix = options_.continuing_subword_prefix.size();
  const auto unknown = [&](std::string_view token) {
    fail(ErrorKind::input,
         "{}: merge {} of \"{}\" and \"{}\": the token \"{}\" is not in the vocabulary", where,
         next_rank_, left, right, token);
  };
  const auto left_id = vocabulary().find(left);
  if (!left_id) unknown(left);
  const auto right_id = vocabulary().find(right);
  if (!right_id || right.size() < prefix) unknown(right);
  joined_.assign(left).append(right.substr(prefix));
  const auto joined_id = vocabulary().find(joined_);
  if (!joined_id) unknown(joined_);
  merges_.add(*left_id, *right_id, {next_rank_++, *joined_id});
}

std::optional<std::int32_t> Bpe::find_character(std::string_view character) const {
  if (character.size() <= 2) {
    std::size_t at = 0;
    const std::int32_t id = short_characters_[next_code_point(character, at)];
    return id < 0 ? std::nullopt : std::optional(id);
  }
  return vocabulary().find(character);
}

bool Bpe::add_bytes(std::string_view character, Scratch& scratch) const {
  const auto id = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (!std::ranges::all_of(character, [&](char byte) { return id(byte) >= 0; })) return false;
  for (const char byte : character) scratch.symbols.push_back({id(byte), 0, 0});
  return true;
}

void Bpe::add_symbols(std::string_view word, Scratch& scratch) const {
  const bool decorated =
      !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  bool pending_unk = false;
  std::string name;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = utf8_length(word[at]);
    std::string_view character = word.substr(at, length);
    const bool first = at == 0;
    at += length;
    if (decorated) {
      name = first ? "" : options_.continuing_subword_prefix;
      name += character;
      if (at == word.size()) name += options_.end_of_word_suffix;
      character = name;
    }
    const auto id = decorated ? vocabulary().find(character) : find_character(character);
    if (id) {
      if (pending_unk) scratch.symbols.push_back({*unk_id_, 0, 0});
      pending_unk = false;
      scratch.symbols.push_back({*id, 0, 0});
    } else if (options_.byte_fallback && add_bytes(character, scratch)) {
      // As in `tokenizers`, an unknown character that is still pending comes after these bytes.
    } else if (options_.unk_token) {
      if (!unk_id_) {
        fail(ErrorKind::input, "the model's unk_token \"{}\" is not in its vocabulary",
             *options_.unk_token);
      }
      if (pending_unk && !options_.fuse_unk) scratch.symbols.push_back({*unk_id_, 0, 0});
      pending_unk = true;
    }
  }
  if (pending_unk) scratch.symbols.push_back({*unk_id_, 0, 0});
}

// Merges the pair of lowest rank, the leftmost first, until none is left: a linked list of symbols
// and a heap of the pairs that may be merged, O(n log n).
void Bpe::merge_symbols(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto count = static_cast<std::int32_t>(symbols.size());
  const auto at = [&](std::int32_t position) -> Scratch::Symbol& {
    return symbols[static_cast<std::size_t>(position)];
  };
  const auto candidate = [&](std::int32_t position, auto push) {
    const Scratch::Symbol& symbol = at(position);
    if (symbol.next == count) return;
    if (const Merge* merge = merges_.find(symbol.id, at(symbol.next).id)) {
      push({merge->rank, position, merge->result});
    }
  };
  const auto push = [&](Scratch::Candidate found) {
    queue.push_back(found);
    std::ranges::push_heap(queue, comes_later);
  };
  queue.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    at(i).previous = i - 1;
    at(i).next = i + 1;
  }
  for (std::int32_t i = 0; i < count; ++i) {
    candidate(i, [&](Scratch::Candidate found) { queue.push_back(found); });
  }
  std::ranges::make_heap(queue, comes_later);
  while (!queue.empty()) {
    const Scratch::Candidate top = queue.front();
    std::ranges::pop_heap(queue, comes_later);
    queue.pop_back();
    Scratch::Symbol& left = at(top.position);
    if (left.id < 0 || left.next == count) continue;
    Scratch::Symbol& right = at(left.next);
    // The pair may have changed since it was queued.
    const Merge* merge = merges_.find(left.id, right.id);
    if (!merge || merge->result != top.result) continue;
    left.id = top.result;
    left.next = right.next;
    right.id = -1;
    if (left.next != count) at(left.next).previous = top.position;
    if (left.previous >= 0) candidate(left.previous, push);
    candidate(top.position, push);
  }
}

void Bpe::encode(const Splits& splits, std::vector<std::int32_t>& ids) const {
  Scratch scratch;
  encode_pieces(splits, ids, [&](std::string_view word) { encode_word(word, scratch, ids); });
}

void Bpe::encode_word(std::string_view word, Scratch& scratch,
                      std::vector<std::int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = vocabulary().find(word)) return ids.push_back(*whole);
  }
  if (cache_.find(word, ids)) return;
  const std::size_t start = ids.size();
  scratch.symbols.clear();
  add_symbols(word, scratch);
  merge_symbols(scratch);
  for (const Scratch::Symbol& symbol : scratch.symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
  cache_.add(word, ids.data() + start, ids.size() - start);
}

}  // namespace trireme::text
