// Watches a job from where its rows are coordinated: hears of every row and of the ranks' counters,
// and knows what to show of them, now and at the end. It decides nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "batch/rank_stats.h"
#include "batch/row_stats.h"
#include "batch/run_summary.h"

namespace trireme {

/// Where the job is, as the coordinator says.
struct JobCounts {
  std::uint64_t rows_done = 0;
  std::uint64_t rows_known = 0;
  bool input_ended = false;
  std::uint64_t rows_resumed = 0;
  std::uint64_t rows_failed = 0;
  std::uint64_t in_flight = 0;
};

/// Times are monotonic_ns().
class JobWatch {
 public:
  explicit JobWatch(std::int64_t now) : start_ns_(now) {}

  /// Of all rows together, where that is known beforehand.
  void set_input_bytes(std::optional<std::uint64_t> bytes) { input_bytes_ = bytes; }

  /// For the events of rows.
  RowStats& rows() { return rows_; }
  const RowStats& rows() const { return rows_; }
  const RankStats& ranks() const { return ranks_; }
  const JobCounts& counts() const { return counts_; }

  void sample(int replica, int rank, const RankSample& sample, std::int64_t now);
  void replica_ended(int replica) { ranks_.ended(replica); }
  /// Often; does little unless a quarter of a second has passed.
  void tick(const JobCounts& counts, std::int64_t now);

  ProgressState state(std::int64_t now) const;
  /// All that can be said from here; names, plan and limits are the caller's to add.
  RunSummary summary(std::int64_t now) const;
  double seconds(std::int64_t now) const { return static_cast<double>(now - start_ns_) * 1e-9; }

 private:
  std::optional<Spread> seconds_left() const;

  std::int64_t start_ns_;
  std::optional<std::uint64_t> input_bytes_;
  RowStats rows_;
  RankStats ranks_;
  JobCounts counts_;
  std::optional<double> work_began_;  ///< seconds: the first replica was ready
  double ticked_at_ = 0;
  RateWindow prompt_rate_, new_rate_, work_;  ///< tokens, and bytes of rows answered
  Series prompt_series_, new_series_, in_flight_series_, kv_series_;
  double prompt_seen_ = 0, new_seen_ = 0;
};

}  // namespace trireme
