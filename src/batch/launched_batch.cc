// A batch over ranks that this process starts: the groups of ranks are the workers, and a dead
// group's rows go to the others.
#include <optional>

#include "batch/desk.h"
#include "batch/job.h"
#include "batch/replicas.h"
#include "core/error.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

constexpr int stopped = 5;  // the exit code of a job that can be resumed
/// Rows that crash their replica one after the other, with none answered in between: then it is not
/// the rows' fault.
constexpr std::uint64_t most_crashes_in_a_row = 16;

class LaunchedBatch {
 public:
  LaunchedBatch(const BatchJob& job, const std::vector<std::string>& arguments,
                const OnBatchProgress& on_progress, const OnBatchNotice& on_notice)
      : job_(job),
        desk_(
            job, [this](auto worker, const std::string& m) { post(worker, m); }, on_progress,
            on_notice),
        on_notice_(on_notice),
        replicas_(settings_of(job, arguments), handlers()) {}

  BatchOutcome run() {
    replicas_.start();
    for (desk_.turn(); !desk_.done(); desk_.turn()) {
      // The ranks hold nothing that must be kept: they are killed with the launcher.
      if (desk_.wind_up(stop_requests())) return desk_.end_early();
      if (end_) return desk_.end_early(end_->reason, end_->exit_code);
      if (!replicas_.any_running()) return desk_.end_early("no replica is left", stopped);
      replicas_.turn();
      if (replicas_.failure()) end_ = replicas_.failure();
    }
    const BatchOutcome outcome = desk_.finish();
    replicas_.dismiss([this] { return stop_requests() > 0; });
    return outcome;
  }

 private:
  ReplicaSettings settings_of(const BatchJob& job,
                              const std::vector<std::string>& arguments) const {
    return {.options = job.options,
            .arguments = arguments,
            .started = desk_.started(),
            .max_restarts = job.max_restarts,
            .stats = job.stats};
  }

  Replicas::Handlers handlers() {
    return {.on_message =
                [this](int replica, const std::string& message) {
                  desk_.server().receive(static_cast<Coordinator::WorkerId>(replica), message);
                },
            .on_lost =
                [this](int replica, int crash) {
                  lose(static_cast<Coordinator::WorkerId>(replica), crash);
                  return !end_ && stop_requests() == 0;
                },
            .on_notice = on_notice_,
            .rows_done = [this] { return desk_.finished_rows(); }};
  }

  void post(Coordinator::WorkerId worker, const std::string& message) {
    replicas_.post(static_cast<int>(worker), message);
  }

  void lose(Coordinator::WorkerId worker, int crash) {
    if (const auto culprit = desk_.server().lose(worker, crash)) convict(*culprit);
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

  const BatchJob& job_;
  Desk desk_;
  OnBatchNotice on_notice_;
  Replicas replicas_;
  std::optional<Replicas::Failure> end_;  ///< why the job ends before it is done
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
