#include "runtime/prompt_lookup.h"

#include <algorithm>

#include "core/error.h"

namespace trireme {

namespace {

using Tokens = std::span<const std::int32_t>;

std::uint64_t hash_of(Tokens ngram) {
  std::uint64_t hash = 0;
  for (const std::int32_t token : ngram) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

/// The slot that holds the n-gram that ends before `end`, or the free one where it belongs.
std::size_t NgramIndex::place_of(Tokens tokens, std::size_t end) const {
  const Tokens ngram = tokens.subspan(end - length_, length_);
  std::size_t at = hash_of(ngram) & (slots_.size() - 1);
  while (slots_[at] != 0 &&
         !std::ranges::equal(tokens.subspan(slots_[at] - length_, length_), ngram)) {
    at = (at + 1) & (slots_.size() - 1);
  }
  return at;
}

void NgramIndex::grow(Tokens tokens) {
  constexpr std::size_t least = 64;
  const std::vector<std::uint32_t> old = std::move(slots_);
  slots_.assign(std::max(least, old.size() * 2), 0);
  for (const std::uint32_t end : old) {
    if (end != 0) slots_[place_of(tokens, end)] = end;
  }
}

void NgramIndex::extend(Tokens tokens, std::size_t end) {
  TRIREME_ASSERT(end <= tokens.size());
  for (std::size_t next = std::max(taken_ + 1, length_); next <= end; ++next) {
    if (2 * (used_ + 1) > slots_.size()) grow(tokens);
    std::uint32_t& slot = slots_[place_of(tokens, next)];
    used_ += slot == 0 ? 1 : 0;
    slot = static_cast<std::uint32_t>(next);
  }
  taken_ = std::max(taken_, end);
}

std::size_t NgramIndex::find(Tokens tokens) const {
  if (slots_.empty() || tokens.size() < length_) return 0;
  return slots_[place_of(tokens, tokens.size())];
}

PromptLookup::PromptLookup(const SpeculationLimits& limits) {
  for (std::int64_t length = limits.ngram_max; length >= limits.ngram_min; --length) {
    indexes_.emplace_back(length);
  }
}

std::vector<std::int32_t> PromptLookup::propose(Tokens tokens, std::int64_t most) {
  std::size_t from = 0;
  for (NgramIndex& index : indexes_) {
    // The last tokens themselves are not an earlier occurrence.
    index.extend(tokens, tokens.size() - 1);
    if (from == 0) from = index.find(tokens);
  }
  std::vector<std::int32_t> drafts;
  if (from == 0) return drafts;
  for (std::size_t at = from; static_cast<std::int64_t>(drafts.size()) < most; ++at) {
    drafts.push_back(at < tokens.size() ? tokens[at] : drafts[at - tokens.size()]);
  }
  return drafts;
}

std::int64_t DraftPace::next() {
  if (pause_ == 0) return length_;
  --pause_;
  return 0;
}

void DraftPace::record(std::int64_t drafted, std::int64_t accepted) {
  constexpr int longest_pause = 4;  // as a power of two
  if (accepted == 0) {
    length_ = std::max<std::int64_t>(1, length_ / 2);
    // One failure is a word that ends another way; more are a text that does not repeat itself.
    pause_ = failures_ == 0 ? 0 : std::int64_t{1} << std::min(failures_ - 1, longest_pause);
    ++failures_;
    return;
  }
  failures_ = 0;
  // Fewer may have been drafted than were asked for; all of them accepted says nothing against it.
  length_ = accepted == drafted ? std::max(length_, std::min(most_, 2 * drafted)) : accepted + 1;
}

}  // namespace trireme
