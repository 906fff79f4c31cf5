// What the drivers of the replicas and rank 0 say to each other while they score, as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trireme {

/// To rank 0: a row is done.
struct ScoredRow {
  std::uint64_t row = 0;
  bool failed = false;
  std::vector<std::int32_t> token_ids;
  std::string line;  ///< of output, with its end
};

/// To rank 0: some of a row's logits, those of its tokens `first`, `first` + 1, ...
struct LogitsPart {
  std::uint64_t row = 0;
  std::int64_t first = 0;
  std::vector<float> logits;
};

/// From rank 0: how far to go. Without it a fast replica would fill rank 0's memory.
struct ScoreLimits {
  std::uint64_t rows_below = 0;    ///< no later row may be started
  std::uint64_t floats_taken = 0;  ///< of the logits sent so far
  bool stop = false;               ///< all is done
};

using ScoreMessage = std::variant<ScoredRow, LogitsPart, ScoreLimits>;

std::string encode(const ScoreMessage& message);
/// Throws Error(peer_lost) for bytes that `encode` cannot have made.
ScoreMessage decode_score_message(std::string_view bytes);

}  // namespace trireme
