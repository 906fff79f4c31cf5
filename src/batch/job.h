// The main job from end to end: a file of rows through an engine, over one process, the launcher's
// ranks or MPI's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "batch/observe_options.h"
#include "batch/row_reader.h"
#include "batch/row_settings.h"
#include "trireme/options.h"
#include "trireme/ranks.h"

namespace trireme {

class JobWatch;
struct RunSummary;

/// How workers on other hosts may join a job; see docs/elastic.md.
struct JoinListen {
  std::string address;   ///< [HOST:]PORT; empty: none may
  std::string key_file;  ///< what they share
  std::chrono::milliseconds peer_timeout{10000};
};

struct BatchJob {
  Options options;
  std::vector<std::string> inputs = {"-"};  ///< see resolve_inputs()
  std::string output = "-";
  std::string output_format = "auto";  ///< see output_format_of()
  std::uint32_t shards = 0;            ///< files that the output is cut into; 0: it is one file
  ReaderOptions reader;
  RowSettings rows;
  bool restart = false;
  bool overwrite = false;
  ObserveOptions observe;
  bool strict = false;  ///< the first row that fails ends the job
  bool stats = false;   ///< every rank prints what it held and did on standard error
  std::int64_t now =
      0;  ///< seconds since the epoch: what strftime_now says, unless the job resumes
  /// How often somebody has asked the job to stop; asked several times a second from when the ranks
  /// have been started (this process's own model: loaded). After the first time the rows that have
  /// begun are finished, after the second nothing is waited for; either way the job can be resumed,
  /// and the exit code is 5. May be empty.
  std::function<int()> stop_requests;
  std::string resume_command;  ///< for people, who may copy it
  /// How often a replica is started again without any row answered in between.
  int max_restarts = 3;
  JoinListen join;  ///< launch_batch only
  /// On the first rank, before anything is loaded: see Ranks. May settle what the job leaves open.
  /// May be empty.
  std::function<void(BatchJob& job, const Hosts& hosts)> check;
};

/// What a job reports while it runs, for a progress line.
struct BatchProgress {
  std::uint64_t rows_done = 0;
  std::uint64_t rows_known = 0;  ///< read so far
  bool input_ended = false;      ///< rows_known is the total
  std::uint64_t rows_resumed = 0;
  std::uint64_t rows_failed = 0;
  std::uint64_t prompt_tokens = 0;  ///< of the rows answered in this run
  std::uint64_t new_tokens = 0;
  std::size_t workers = 0;
  const JobWatch* watch = nullptr;  ///< knows more
};
using OnBatchProgress = std::function<void(const BatchProgress&)>;
/// Something a person should know: "replica 1: rank 0 was killed by signal 9; its rows go on
/// elsewhere".
using OnBatchNotice = std::function<void(const std::string&)>;

struct BatchOutcome {
  std::uint64_t rows = 0;
  std::uint64_t failed = 0;
  int exit_code = 0;
  bool coordinated = false;                             ///< this process read and wrote the rows
  std::shared_ptr<const RunSummary> summary = nullptr;  ///< then
};

/// In a process that is itself all ranks, or an MPI rank: collective over the ranks; rank 0 reads,
/// writes and coordinates, and its outcome counts.
BatchOutcome run_batch_in_ranks(const BatchJob& job, const OnBatchProgress& on_progress,
                                const OnBatchNotice& on_notice);

/// In a process that is no rank: starts the ranks with this program's own `arguments`, coordinates
/// them, and gives a dead replica's rows to the others.
BatchOutcome launch_batch(const BatchJob& job, const std::vector<std::string>& arguments,
                          const OnBatchProgress& on_progress, const OnBatchNotice& on_notice);

/// What launch_batch tells its ranks: the job's start.
inline constexpr const char* batch_start_variable = "TRIREME_BATCH_START";
/// Whether launch_batch started this process.
bool is_launched_batch_rank();
/// In a rank that launch_batch started. Returns its exit code; what went wrong has been told, once
/// for all ranks that say the same.
int serve_batch_in_launched_rank(const BatchJob& job);

}  // namespace trireme
