// All that makes a job visible: what it watches, the port for metrics, the trace and the report at
// the end. Nothing here ends a job that runs; what goes wrong becomes a notice.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "batch/job.h"
#include "batch/job_watch.h"
#include "batch/metrics_server.h"
#include "batch/run_summary.h"
#include "batch/trace_file.h"

namespace trireme {

class JobObserver {
 public:
  /// Before anything is loaded: takes the port and looks whether the files can be written. Throws
  /// Error(usage).
  JobObserver(const BatchJob& job, OnBatchNotice on_notice);

  JobWatch& watch() { return watch_; }
  const JobWatch& watch() const { return watch_; }
  bool wants_trace() const { return job_.observe.wants_trace(); }

  /// After every round of messages.
  void turn(const JobCounts& counts);
  /// Whether it is time to sample the ranks: a few times a second.
  bool sample_due() const;
  void sample(int replica, int rank, const RankActivity& activity);
  /// The ranks of a replica have ended: what they have left.
  void keep_trace(int replica, int rank, const TraceRing& ring);
  void replica_ended(int replica) { watch_.replica_ended(replica); }
  /// Why the job is about to end before it is done.
  void ended(const std::string& reason) { reason_ = reason; }

  /// The job is over and its ranks are gone: writes report and trace. Once.
  std::shared_ptr<const RunSummary> close(int exit_code);

 private:
  void describe(RunSummary& summary) const;
  std::vector<RankTrace> traces() const;
  /// The file, whole or not at all; a notice where that fails.
  void write_file(const std::string& flag, const std::string& path,
                  const std::function<void(const std::function<void(std::string_view)>&)>& body);

  const BatchJob& job_;
  OnBatchNotice on_notice_;
  std::int64_t start_ns_;
  JobWatch watch_;
  std::optional<MetricsServer> metrics_;
  std::map<std::pair<int, int>, RankTrace> traces_;
  std::string reason_;
  std::int64_t sampled_ns_ = 0;
};

/// Runs a job under its observer, which is told how it ends, by an exception too.
BatchOutcome observed(JobObserver& observer, const std::function<BatchOutcome()>& run);

}  // namespace trireme
