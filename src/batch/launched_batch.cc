// A batch over ranks that this process starts: the groups of ranks are the workers, and a dead
// group's rows go to the others.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "batch/desk.h"
#include "batch/failure_reports.h"
#include "batch/job.h"
#include "batch/messages.h"
#include "core/error.h"
#include "core/shared_once.h"
#include "launch/launcher.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr int stopped = 5;  // the exit code of a job that can be resumed
/// Rows that crash their replica one after the other, with none answered in between: then it is not
/// the rows' fault.
constexpr std::uint64_t most_crashes_in_a_row = 16;

/// Signals by which a process ends through a fault of its own. SIGKILL and SIGTERM come from
/// somebody else: a person, the kernel's memory killer, the launcher itself.
bool is_own_fault(int signal) {
  return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGFPE ||
         signal == SIGILL;
}

/// A rank that has stopped with such an error would do so again, and so would the other replicas.
bool is_hopeless(const LaunchEvent& event) {
  const auto is = [&](ErrorKind kind) { return event.exit_code == exit_code(kind); };
  return event.signal == 0 &&
         (is(ErrorKind::input) || is(ErrorKind::usage) || is(ErrorKind::resource));
}

class LaunchedBatch {
 public:
  LaunchedBatch(const BatchJob& job, const std::vector<std::string>& arguments,
                const OnBatchProgress& on_progress, const OnBatchNotice& on_notice)
      : job_(job),
        desk_(
            job, [this](auto worker, const std::string& m) { post(worker, m); }, on_progress,
            on_notice),
        on_notice_(on_notice),
        launcher_(spec_of(job, arguments)),
        restarts_(static_cast<std::size_t>(job.options.data_parallel_size)),
        ready_(restarts_.size(), false) {}

  ~LaunchedBatch() {
    for (const int memory : memories_) close(memory);
  }

  BatchOutcome run() {
    launcher_.start();
    for (desk_.turn(); !desk_.done(); desk_.turn()) {
      // The ranks hold nothing that must be kept: they are killed with the launcher.
      if (desk_.wind_up(stop_requests())) return desk_.end_early();
      if (end_) return desk_.end_early(end_->reason, end_->exit_code);
      if (!launcher_.any_running()) return desk_.end_early("no replica is left", stopped);
      wait_and_receive();
    }
    const BatchOutcome outcome = desk_.finish();
    dismiss_all();
    return outcome;
  }

 private:
  LaunchSpec spec_of(const BatchJob& job, const std::vector<std::string>& arguments) {
    LaunchSpec spec;
    spec.arguments = arguments;
    spec.groups = job.options.data_parallel_size;
    spec.sizes = {job.options.data_parallel_size, job.options.tensor_parallel_size,
                  job.options.pipeline_parallel_size};
    spec.group_size = spec.sizes.replica();
    spec.env[batch_start_variable] = std::to_string(desk_.started());
    spec.control = true;
    spec.must_connect = true;
    spec.fds.resize(static_cast<std::size_t>(spec.group_size));
    for (auto& fds : spec.fds) fds.push_back({FailureReports::variable, reports_.ranks_end()});
    if (spec.groups > 1) share_weights(spec);
    return spec;
  }

  /// One memory per place in a replica: the replicas' ranks in that place share their weights.
  void share_weights(LaunchSpec& spec) {
    for (auto& fds : spec.fds) {
      memories_.push_back(SharedOnce::create_memory("trireme-weights"));
      fds.push_back({"TRIREME_WEIGHTS_FD", memories_.back()});
    }
  }

  void post(Coordinator::WorkerId worker, const std::string& message) {
    const auto group = static_cast<int>(worker);
    if (launcher_.running(group)) launcher_.control(group).post(message);
  }

  void wait_and_receive() {
    std::vector<pollfd> channels;
    for (int group = 0; group < launcher_.groups(); ++group) {
      if (!launcher_.running(group)) continue;
      const bool unsent = !launcher_.control(group).flush();
      channels.push_back(
          {launcher_.control(group).fd(), static_cast<short>(POLLIN | (unsent ? POLLOUT : 0)), 0});
    }
    const std::vector<LaunchEvent> events = launcher_.poll(milliseconds(100), channels);
    receive_all();
    for (const std::string& report : reports_.take()) on_notice_("error: " + report);
    for (const LaunchEvent& event : events) take(event);
  }

  void receive_all() {
    for (int group = 0; group < launcher_.groups(); ++group) {
      // A group that has just ended may have left results behind.
      while (auto message = launcher_.control(group).try_receive()) {
        ready_[static_cast<std::size_t>(group)] = true;
        desk_.server().receive(static_cast<Coordinator::WorkerId>(group), *message);
      }
    }
  }

  void take(const LaunchEvent& event) {
    if (event.kind != LaunchEvent::Kind::group_finished) {
      if (!event.text.empty() && !is_hopeless(event)) on_notice_(event.text);
      return;
    }
    const auto group = static_cast<std::size_t>(event.group);
    ready_[group] = false;
    const std::optional<RawRow> culprit =
        desk_.server().lose(static_cast<Coordinator::WorkerId>(event.group),
                            is_own_fault(event.signal) ? event.signal : 0);
    if (culprit) convict(*culprit);
    if (is_hopeless(event)) {
      end_ = {event.text + ", and would do so again", event.exit_code};
    } else if (!end_ && stop_requests() > 0) {
      on_notice_(event.text);  // and nobody is needed in its place
    } else if (!end_ && may_restart(group)) {
      on_notice_(fmt::format("replica {} starts again; its unfinished rows go to whoever is free",
                             event.group));
      launcher_.restart_group(event.group);
    } else if (!end_) {
      on_notice_(
          fmt::format("replica {} has ended {} times without any row answered in between; "
                      "it is left out",
                      event.group, job_.max_restarts + 1));
    }
  }

  bool may_restart(std::size_t group) {
    Restarts& restarts = restarts_[group];
    if (desk_.finished_rows() != restarts.rows_at) restarts = {0, desk_.finished_rows()};
    return ++restarts.count <= job_.max_restarts;
  }

  void convict(const RawRow& row) {
    on_notice_(
        fmt::format("row {} (line {}) crashed its replica twice, the second time alone; it "
                    "becomes an error row",
                    row.index, row.line));
    ++convicted_;
    const std::uint64_t answered = desk_.finished_rows() - convicted_;
    if (answered != answered_at_) convicted_in_a_row_ = 0;
    answered_at_ = answered;
    if (++convicted_in_a_row_ < most_crashes_in_a_row) return;
    end_ = {fmt::format("{} rows, one after the other, crashed their replica: it is not the rows' "
                        "fault; please report this bug",
                        convicted_in_a_row_),
            stopped};
  }

  int stop_requests() const { return job_.stop_requests ? job_.stop_requests() : 0; }

  /// The output is complete. Who is still loading the model, after a restart perhaps, is not waited
  /// for.
  void dismiss_all() {
    const std::string stop = encode(StopMessage{});
    for (int group = 0; group < launcher_.groups(); ++group) {
      if (!launcher_.running(group)) continue;
      if (ready_[static_cast<std::size_t>(group)] || job_.stats) {
        launcher_.control(group).post(stop);
      } else {
        launcher_.kill_group(group, "the job is done");
      }
    }
    while (launcher_.any_running() && stop_requests() == 0) {
      for (int group = 0; group < launcher_.groups(); ++group) {
        if (launcher_.running(group)) launcher_.control(group).flush();
      }
      launcher_.poll(milliseconds(100));
    }
  }

  struct Restarts {
    int count = 0;
    std::uint64_t rows_at = 0;  ///< rows finished when counting began
  };
  struct End {
    std::string reason;
    int exit_code = stopped;
  };

  const BatchJob& job_;
  std::vector<int> memories_;
  FailureReports reports_;
  Desk desk_;
  OnBatchNotice on_notice_;
  Launcher launcher_;
  std::vector<Restarts> restarts_;
  std::vector<bool> ready_;
  std::optional<End> end_;  ///< why the job ends before it is done
  std::uint64_t convicted_ = 0;
  std::uint64_t convicted_in_a_row_ = 0;
  std::uint64_t answered_at_ = 0;  ///< rows answered when the last one was convicted
};

}  // namespace

BatchOutcome launch_batch(const BatchJob& job, const std::vector<std::string>& arguments,
                          const OnBatchProgress& on_progress, const OnBatchNotice& on_notice) {
  check_options(job.options);
  return LaunchedBatch(job, arguments, on_progress, on_notice).run();
}

}  // namespace trireme
