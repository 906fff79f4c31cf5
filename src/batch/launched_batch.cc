// A batch over ranks that this process starts: the groups of ranks are the workers, and a dead
// group's rows go to the others.
#include <algorithm>
#include <optional>
#include <set>

#include "batch/desk.h"
#include "batch/job.h"
#include "batch/job_observer.h"
#include "batch/join.h"
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
                const OnBatchProgress& on_progress, const OnBatchNotice& on_notice,
                JobObserver& observer)
      : job_(job),
        observer_(observer),
        desk_(
            job, [this](auto worker, const std::string& m) { post(worker, m); }, on_progress,
            on_notice, observer),
        on_notice_(on_notice),
        replicas_(settings_of(job, arguments), handlers()) {
    if (!job.join.address.empty()) {
      joined_.emplace(job.join, terms_of(job, desk_.started()), desk_.server(),
                      static_cast<Coordinator::WorkerId>(replicas_.count()),
                      JoinedWorkers::Handlers{
                          .lose = [this](auto worker, int crash) { lose_joined(worker, crash); },
                          .on_notice = on_notice_,
                          .leave_local = [this](int replica) { return let_leave(replica); }});
    }
  }

  /// What the ranks have recorded is kept however the job ends.
  BatchOutcome run() {
    struct Keep {
      ~Keep() { batch.keep_what_runs(); }
      LaunchedBatch& batch;
    } const keep{*this};
    replicas_.start();
    const BatchOutcome outcome = work();
    if (!desk_.done()) end_joined(Bye::stopped);
    if (desk_.done()) replicas_.dismiss([this] { return stop_requests() > 0; });
    return outcome;
  }

 private:
  BatchOutcome work() {
    for (desk_.turn(); !desk_.done(); desk_.turn()) {
      // The ranks hold nothing that must be kept: they are killed with the launcher.
      if (desk_.wind_up(stop_requests())) return desk_.end_early();
      if (end_) return desk_.end_early(end_->reason, end_->exit_code);
      if (!replicas_.any_running() && !(joined_ && joined_->may_go_on())) {
        return desk_.end_early("no replica is left", stopped);
      }
      wait_and_receive();
    }
    // All rows are safe. To write the output may take longer than a silence lasts.
    end_joined(Bye::done);
    return desk_.finish();
  }

  /// Nobody is waited for who has been asked twice to stop, or once more while it waits.
  void end_joined(Bye why) {
    if (!joined_) return;
    const int before = stop_requests();
    joined_->end(why, [&] { return stop_requests() > std::min(before, 1); });
  }

  void wait_and_receive() {
    std::vector<pollfd> polls;
    if (joined_) joined_->add_polls(polls);
    replicas_.turn(polls, std::chrono::milliseconds(desk_.server().has_more_to_read() ? 0 : 100));
    if (observer_.sample_due()) sample_all();
    if (joined_) joined_->turn();
    for (const int replica : leaving_) {
      const auto worker = static_cast<Coordinator::WorkerId>(replica);
      const bool idle = desk_.server().coordinator().in_flight(worker) == 0;
      if (idle && stopped_.insert(replica).second) replicas_.stop(replica);
    }
    // Who has joined goes on without this host.
    if (!joined_ || joined_->workers() == 0) end_ = end_ ? end_ : replicas_.failure();
  }

  bool let_leave(int replica) {
    if (replica >= replicas_.count() || !replicas_.running(replica)) return false;
    leaving_.insert(replica);
    desk_.server().retire(static_cast<Coordinator::WorkerId>(replica));
    return true;
  }

  /// Whether the replica may be started again.
  bool lose_replica(int replica, int crash) {
    const auto worker = static_cast<Coordinator::WorkerId>(replica);
    lose(worker, crash);
    if (leaving_.erase(replica) == 0) {
      return !end_ && stop_requests() == 0;  // else nobody is needed in its place
    }
    const std::uint64_t rows = desk_.server().rows_answered(worker);
    on_notice_(fmt::format("replica {} has left; it has answered {} row{}", replica, rows,
                           rows == 1 ? "" : "s"));
    joined_->local_left(replica, rows);
    return false;
  }

  ReplicaSettings settings_of(const BatchJob& job,
                              const std::vector<std::string>& arguments) const {
    return {.options = job.options,
            .arguments = arguments,
            .started = desk_.started(),
            .max_restarts = job.max_restarts,
            .trace = observer_.wants_trace(),
            .stats = job.stats};
  }

  Replicas::Handlers handlers() {
    return {.on_message =
                [this](int replica, const std::string& message) {
                  desk_.server().receive(static_cast<Coordinator::WorkerId>(replica), message);
                },
            .on_ended = [this](int replica) { keep_what_is_left(replica); },
            .on_lost = [this](int replica, int crash) { return lose_replica(replica, crash); },
            .on_notice = on_notice_,
            .rows_done = [this] { return desk_.finished_rows(); }};
  }

  void sample_all() {
    for (int replica = 0; replica < replicas_.count(); ++replica) {
      if (replicas_.running(replica)) sample(replica);
    }
  }

  void sample(int replica) {
    for (int rank = 0; rank < replicas_.ranks(); ++rank) {
      observer_.sample(replica, rank, replicas_.activity(replica, rank));
    }
  }

  /// Of a replica that has ended, or is about to be ended.
  void keep_what_is_left(int replica) {
    sample(replica);
    for (int rank = 0; rank < replicas_.ranks(); ++rank) {
      observer_.keep_trace(replica, rank, replicas_.trace(replica, rank));
    }
    observer_.replica_ended(replica);
  }

  void keep_what_runs() noexcept {
    try {
      for (int replica = 0; replica < replicas_.count(); ++replica) {
        if (replicas_.running(replica)) keep_what_is_left(replica);
      }
    } catch (const std::exception&) {  // no memory: how the job ends matters more
    }
  }

  void post(Coordinator::WorkerId worker, const std::string& message) {
    if (joined_ && joined_->owns(worker)) return joined_->post(worker, message);
    replicas_.post(static_cast<int>(worker), message);
  }

  void lose(Coordinator::WorkerId worker, int crash) {
    if (const auto culprit = desk_.server().lose(worker, crash)) convict(*culprit);
  }

  void lose_joined(Coordinator::WorkerId worker, int crash) {
    lose(worker, crash);
    observer_.replica_ended(static_cast<int>(worker));
  }

  void convict(const RawRow& row) {
    on_notice_(
        fmt::format("row {} ({}) crashed its replica twice, the second time alone; it "
                    "becomes an error row",
                    row.index, row.place()));
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
  JobObserver& observer_;
  Desk desk_;
  OnBatchNotice on_notice_;
  Replicas replicas_;
  std::optional<JoinedWorkers> joined_;
  std::set<int> leaving_;  ///< replicas of this host that have been asked to
  std::set<int> stopped_;  ///< of these: hold no rows any more, and have been told to stop
  std::optional<Replicas::Failure> end_;  ///< why the job ends before it is done
  std::uint64_t convicted_ = 0;
  std::uint64_t convicted_in_a_row_ = 0;
  std::uint64_t answered_at_ = 0;  ///< rows answered when the last one was convicted
};

}  // namespace

BatchOutcome launch_batch(const BatchJob& job, const std::vector<std::string>& arguments,
                          const OnBatchProgress& on_progress, const OnBatchNotice& on_notice) {
  check_options(job.options);
  JobObserver observer(job, on_notice);
  return observed(observer, [&] {
    return LaunchedBatch(job, arguments, on_progress, on_notice, observer).run();
  });
}

}  // namespace trireme
