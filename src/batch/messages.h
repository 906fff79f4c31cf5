// What the coordinator and its workers say to each other, as bytes. The transport delivers whole
// messages; nothing in them is trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "batch/raw_row.h"
#include "batch/row_settings.h"
#include "trireme/rank_sample.h"

namespace trireme {

/// Rows or results beyond this go into another message, so that none comes near what a channel
/// takes.
inline constexpr std::size_t large_message = std::size_t{1} << 20;

/// Worker -> coordinator, first: I am ready, and can hold so many rows at once.
struct ReadyMessage {
  std::uint64_t capacity = 0;
};

/// Coordinator -> worker, first: how to understand the rows.
struct JobMessage {
  RowSettings settings;
};

/// Coordinator -> worker.
struct RowsMessage {
  std::vector<RawRow> rows;
};

struct RowResult {
  std::uint64_t row = 0;
  bool failed = false;
  std::string line;  ///< of output, without its end
  std::uint64_t prompt_tokens = 0;
  std::uint64_t new_tokens = 0;
};

/// Worker -> coordinator.
struct ResultsMessage {
  std::vector<RowResult> results;
};

/// Coordinator -> worker: no more rows, end.
struct StopMessage {};

/// Coordinator -> worker: give back the rows that you have not begun.
struct RecallMessage {};

/// Worker -> coordinator: I have not begun these, and will not.
struct ReturnedMessage {
  std::vector<std::uint64_t> rows;
};

/// Worker -> coordinator, about once a second: the counters of those ranks of its replica that it
/// can see, its own among them.
struct StatsMessage {
  struct Rank {
    std::uint32_t rank = 0;  ///< within the replica
    RankSample sample;
  };
  static constexpr std::size_t most_ranks = 1024;
  std::vector<Rank> ranks;
};

using BatchMessage = std::variant<ReadyMessage, JobMessage, RowsMessage, ResultsMessage,
                                  StopMessage, RecallMessage, ReturnedMessage, StatsMessage>;

std::string encode(const BatchMessage& message);

/// Throws Error(peer_lost) for bytes that `encode` cannot have made.
BatchMessage decode(std::string_view bytes);

}  // namespace trireme
