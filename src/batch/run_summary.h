// What is known of a job at its end: for the table, the report and the metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "batch/rank_stats.h"
#include "batch/row_stats.h"
#include "batch/series.h"

namespace trireme {

/// How the job's time compares with what the machine could do, and with what `plan` says.
struct RunLimits {
  double read_bytes_per_s = 0;       ///< measured, of all threads
  double math_operations_per_s = 0;  ///< measured
  std::string math_unit;
  double limit_seconds = 0;      ///< that the steps would take at these rates
  double predicted_seconds = 0;  ///< that the tokens would take at the rates of `plan`; 0: unknown
};

struct RankSummary {
  RankStats::Rank rank;
  std::string name;                 ///< "rank 1 (tp 1, pp 0)"
  std::uint64_t planned_bytes = 0;  ///< of memory; 0: not planned
};

struct RunSummary {
  // The job.
  std::string command, model, plan, machine;
  std::string outcome;  ///< "done", or why it ended early
  int exit_code = 0;
  std::uint64_t rows = 0;        ///< finished, those of earlier runs included
  std::uint64_t rows_known = 0;  ///< read
  bool input_ended = false;      ///< and these are all
  std::uint64_t resumed = 0;     ///< of these, by earlier runs
  std::uint64_t failed = 0;      ///< error rows among all of them
  double seconds = 0;            ///< of this run
  double working_seconds = 0;    ///< of these, since the first replica was ready

  RowStats row_stats;  ///< of the rows of this run
  std::vector<RankSummary> ranks;
  std::optional<RunLimits> limits;

  // Over the time of the job.
  Series prompt_rate, new_rate;  ///< tokens/s
  Series in_flight;              ///< rows
  Series kv_use;                 ///< 0 to 1

  /// Tokens per second since the first replica was ready.
  double rate(std::uint64_t tokens) const {
    return working_seconds > 0 ? static_cast<double>(tokens) / working_seconds : 0;
  }
};

}  // namespace trireme
