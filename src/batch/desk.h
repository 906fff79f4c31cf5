// Input, output and the coordinator between them: what the side of a batch that reads and writes
// holds, whether it is a launcher or rank 0.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "batch/job.h"
#include "batch/job_observer.h"
#include "batch/ledger.h"
#include "batch/server.h"

namespace trireme {

class Desk {
 public:
  /// Opens both files. Throws Error for what is wrong with them, the job's flags or the model's
  /// name; nothing is loaded yet.
  Desk(const BatchJob& job, BatchServer::Send send, OnBatchProgress on_progress,
       OnBatchNotice on_notice, JobObserver& observer);

  BatchServer& server() { return server_; }
  std::int64_t started() const { return output_->started(); }
  std::uint64_t finished_rows() const { return server_.coordinator().finished_rows(); }
  bool done() const { return server_.done(); }

  /// Reads on, hands out rows and reports. Call after every round of messages.
  void turn();
  /// All rows are answered: completes the output.
  BatchOutcome finish();
  /// Whether the job is to end before it is done: it has been asked to stop (see BatchJob) and
  /// nothing is at work any more, or a row has failed that must not. Call after every turn.
  bool wind_up(int stop_requests);
  /// Ends for what wind_up() has found.
  BatchOutcome end_early() const;
  /// Ends early, with `exit_code`: says why and what becomes of the rows so far.
  BatchOutcome end_early(const std::string& reason, int exit_code) const;

 private:
  void report() const;

  RowReader input_;
  std::unique_ptr<RowOutput> output_;
  BatchServer server_;
  OnBatchProgress on_progress_;
  OnBatchNotice on_notice_;
  JobObserver& observer_;
  std::string resume_command_;
  struct End {
    std::string reason;
    int exit_code = 0;
  };
  std::optional<End> end_;
  bool draining_ = false;
};

}  // namespace trireme
