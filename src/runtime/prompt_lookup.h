// Drafts without a model (prompt lookup decoding,
// https://github.com/apoorvumang/prompt-lookup-decoding): what follows a sequence's last tokens is
// guessed to be what followed them the last time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme {

/// How far to look ahead. None of it changes a byte of the output.
struct SpeculationLimits {
  std::int64_t max_drafts = 0;  ///< tokens guessed per sequence and step; 0: no guessing
  std::int64_t ngram_max = 4;   ///< tokens that must have come before, tried from most ...
  std::int64_t ngram_min = 2;   ///< ... to least
  /// No drafts beyond so many rows of a step. A few rows more cost little while a CPU waits for
  /// the weights; from some dozens on it multiplies all the time, and each row costs its share.
  std::int64_t max_rows = 32;
};

/// Where each n-gram of one length ended last. Open addressing over positions; the tokens
/// themselves tell n-grams apart, so a find is exact.
class NgramIndex {
 public:
  explicit NgramIndex(std::int64_t length) : length_(static_cast<std::size_t>(length)) {}

  std::size_t length() const { return length_; }
  /// Takes in the n-grams that end at or before tokens[end - 1]. Each call's tokens begin with
  /// those of the call before.
  void extend(std::span<const std::int32_t> tokens, std::size_t end);
  /// One past the end of the last n-gram taken in that equals the last tokens of `tokens`; 0: none.
  std::size_t find(std::span<const std::int32_t> tokens) const;

 private:
  std::size_t place_of(std::span<const std::int32_t> tokens, std::size_t end) const;
  void grow(std::span<const std::int32_t> tokens);

  std::size_t length_;
  std::vector<std::uint32_t> slots_;  ///< one past an n-gram's end; 0: free. A power of two
  std::size_t used_ = 0;
  std::size_t taken_ = 0;  ///< n-grams that end at or before here are taken in
};

/// The guesses for one sequence, from its own tokens. A step costs the tokens that are new.
class PromptLookup {
 public:
  explicit PromptLookup(const SpeculationLimits& limits);

  /// Up to `most` tokens that are likely to follow `tokens`: those that followed the last earlier
  /// occurrence of its last ngram_max tokens, else of one fewer, and so on. Where they reach the
  /// end they go on with themselves, so that a loop goes on as a loop. Depends on `tokens` alone,
  /// which begins with the tokens of the call before.
  std::vector<std::int32_t> propose(std::span<const std::int32_t> tokens, std::int64_t most);

 private:
  std::vector<NgramIndex> indexes_;  ///< longest n-grams first
};

/// How many drafts a sequence gets: as many as were accepted lately, and one more; after repeated
/// failures none for a while, ever longer.
class DraftPace {
 public:
  explicit DraftPace(std::int64_t most) : most_(most), length_(most) {}

  /// For the next step; counts the steps of a pause.
  std::int64_t next();
  /// What became of a step's drafts, at least one.
  void record(std::int64_t drafted, std::int64_t accepted);

 private:
  std::int64_t most_;
  std::int64_t length_;
  std::int64_t pause_ = 0;
  int failures_ = 0;  ///< steps in a row of which no draft was accepted
};

}  // namespace trireme
