// The two timed phases of a benchmark on one replica: all prompts in, then a token per step and
// sequence.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "api/bench_work.h"
#include "runtime/replica.h"
#include "trireme/bench.h"

namespace trireme {

using TokenIds = std::vector<std::int32_t>;

/// On a replica's driver. Works for sequences that it is told by their number in the whole run.
class BenchPhases {
 public:
  BenchPhases(Replica& replica, const BenchOptions& options);

  /// Scores a short prompt: touches all weights once, and lets the processor leave its rest.
  /// Returns the log-probabilities of its tokens. They depend on every bit of the weights and of
  /// the arithmetic, while the likeliest token after made-up weights often stays the same.
  std::vector<float> warm_up();
  /// The prompts of these sequences, and each one's first new token, which is kept.
  BenchPhase prefill(const std::vector<std::int64_t>& sequences, int repetition);
  /// The rest of their tokens. Timed from the step after which all of them generate until the first
  /// has finished.
  BenchPhase decode(const std::vector<std::int64_t>& sequences, int repetition);

  /// What was generated, by sequence.
  const std::map<std::int64_t, TokenIds>& generated() const { return generated_; }

 private:
  class Stopwatch;
  TokenIds prompt(std::int64_t sequence, int repetition) const;
  void add(std::int64_t sequence, TokenIds tokens, std::int64_t new_tokens);
  std::vector<SequenceEvent> step();

  Replica& replica_;
  const BenchOptions& options_;
  BenchWork work_;
  std::map<std::int64_t, TokenIds> generated_;
};

}  // namespace trireme
