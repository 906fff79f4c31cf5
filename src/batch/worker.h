// The driver of a replica at work on a batch: takes rows from the coordinator as it has room, and
// answers them.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "batch/channel.h"
#include "batch/messages.h"
#include "batch/row_codec.h"
#include "batch/row_work.h"
#include "trireme/engine.h"

namespace trireme {

class BatchWorker {
 public:
  /// Tells the coordinator that it is ready for `capacity` rows at once: the engine has been
  /// prepared, so that what is wrong with the model is known.
  BatchWorker(Engine& engine, RowChannel& channel, std::uint64_t capacity);

  /// Takes in what has arrived and runs one step of the engine. False when the coordinator has said
  /// stop, or is gone.
  bool turn();
  /// Turns until there are no more; waits where there is nothing to do.
  void run();

  bool idle() const { return waiting_.empty() && (!work_ || work_->rows_at_work() == 0); }

 private:
  bool take(BatchMessage message);
  /// Gives the engine as much as it can have use for; the rest may still be asked back.
  void begin_rows();
  void begin(const RawRow& row);
  void return_waiting();
  /// What the replica's ranks do, about once a second.
  void send_stats();
  /// What has been answered, in messages of a bearable size.
  bool send_results();

  Engine& engine_;
  RowChannel& channel_;
  std::uint64_t at_work_;       ///< most rows that the engine is given at once
  std::deque<RawRow> waiting_;  ///< not begun
  std::optional<RowCodec> codec_;
  std::optional<RowWork> work_;
  std::chrono::steady_clock::time_point stats_sent_{};
  std::string crash_on_;  ///< TRIREME_TEST_CRASH_ON: a row with this text kills the process
};

}  // namespace trireme
