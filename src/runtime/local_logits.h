// What one rank knows about the rows of logits that a step asks about, from the columns that it
// holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/logits.h"

namespace trireme {

/// A row of logits that the plan asks about.
struct WantedRow {
  std::int64_t row = 0;  ///< of the step
  std::size_t sequence = 0;
  std::span<const std::int32_t> targets;  ///< log-probabilities of these ids
  bool sample = false;
  std::int64_t ahead = 0;   ///< with sample: so many rows of the sequence come before
  bool returned = false;    ///< the row is part of the output
  bool all_logits = false;  ///< the whole row must come together
  bool drawn = false;       ///< its token is drawn where the logits are

  bool wants_top() const { return sample && !all_logits && !drawn; }
  /// A row whose logits nobody wants but to draw from.
  void draw_in_place() {
    if (!sample || !all_logits || returned) return;
    drawn = true;
    all_logits = false;
  }
};

/// What the ranks send to the first one, per wanted row, and what it makes of it.
struct LogitsPart {
  std::vector<Top> tops;            ///< rows that want the largest logit
  std::vector<ExpSum> sums;         ///< [rows with targets, vocabulary blocks]
  std::vector<float> targets;       ///< of rows with targets: their logits, where they are here
  std::vector<float> logits;        ///< rows that want all: this rank's columns
  std::vector<std::int32_t> drawn;  ///< rows whose token is drawn here
};

LogitsPart decode_part(const Message& message);

/// Runs the head over the wanted rows of x [tokens, hidden].
Message read_part(const LogitsReader& reader, const StepPlan& plan,
                  std::span<const WantedRow> wanted, Tensor x);

/// Whether tokens are drawn where the logits are: all of a row's are on this rank, and its backend
/// knows how to.
bool draws_in_place(const LogitsReader& reader);

/// The token of the sequence's row `ahead` of its first sampled one, from all its logits on the
/// host; they are changed.
std::int32_t draw_one(const LogitsReader& reader, const StepSequence& sequence, std::int64_t ahead,
                      std::span<float> logits);

}  // namespace trireme
