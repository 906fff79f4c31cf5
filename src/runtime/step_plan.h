// What one step does: which sequences, which of their tokens, which cache blocks. The driver of a
// replica emits it, and every rank of the replica executes it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "runtime/sampler.h"

namespace trireme {

/// Some consecutive tokens of one sequence.
struct StepSequence {
  std::int64_t position_begin = 0;
  std::vector<std::int32_t> tokens;
  /// Cache blocks of positions [0, position_begin + tokens); none where a step holds whole
  /// sequences and the cache is the step's own.
  std::vector<std::int32_t> blocks;
  std::vector<std::int32_t> type_ids;  ///< one per token, or empty: all 0
  std::vector<float> features;         ///< [tokens, hidden_size] in place of tokens, or empty
  /// Of an encoder-decoder model: the cache blocks of the source, and its length.
  std::vector<std::int32_t> source_blocks;
  std::int64_t source_tokens = 0;

  bool sample = false;  ///< choose the token that follows the last of `tokens`
  SamplerSettings sampler;
  std::vector<std::int32_t> penalized;  ///< distinct earlier ids, if there is a repetition penalty
  /// With sample: so many of the last `tokens` are guesses. A token is chosen after the one before
  /// them, and after each that turns out to be the token chosen in its place. `sampler.position` is
  /// the first choice's. Guesses are ids that came before, so `penalized` is the same for all.
  std::int64_t drafts = 0;

  /// For scoring: the id whose log-probability each row gives, or -1.
  std::vector<std::int32_t> targets;
  /// For choosing: how many of `targets` each row gives, one after the other; empty: one.
  std::vector<std::int32_t> target_counts;
  bool logits = false;                  ///< also return every row's logits
  std::vector<std::int32_t> logits_at;  ///< or of these of its rows, ascending
  bool hidden =
      false;  ///< return the last layer's hidden states instead of what they are pooled to
};

/// What one cache block holds, in every layer, goes into another one as well.
struct BlockCopy {
  std::int32_t from = 0;
  std::int32_t to = 0;
};

struct StepPlan {
  bool stop = false;    ///< no step: the ranks leave their loop
  bool encode = false;  ///< tokens are sources: through the encoder, and into the decoder's cache
  std::vector<BlockCopy> copies;  ///< in this order, before anything is computed
  std::vector<StepSequence> sequences;

  std::int64_t rows() const;
};

struct SequenceOutput {
  /// If `sample`: the drafts that hold, and the token chosen after them.
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;  ///< one per target >= 0
  std::vector<float> logits;    ///< [tokens, vocab_size] if asked for
  std::vector<float> values;    ///< pooled, or hidden states [tokens, hidden_size]
};

/// Whether the tokens chosen so far are what the row of the next one was computed with.
bool goes_on(const StepSequence& sequence, const SequenceOutput& output);

/// One output per sequence of the plan, in its order.
using StepResult = std::vector<SequenceOutput>;

Message encode(const StepPlan& plan);
/// Throws Error(peer_lost) for bytes that no plan was encoded to.
StepPlan decode_plan(std::span<const std::byte> bytes);
Message encode(const StepResult& result);
StepResult decode_result(std::span<const std::byte> bytes);

}  // namespace trireme
