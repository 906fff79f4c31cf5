#include "batch/job.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#include "batch/channel.h"
#include "batch/desk.h"
#include "batch/failure_reports.h"
#include "batch/job_observer.h"
#include "batch/worker.h"
#include "core/error.h"
#include "launch/control.h"
#include "trireme/ranks.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

/// Rows that a worker holds: enough that the engine never waits for the coordinator.
std::uint64_t capacity_of(const Options& options) {
  constexpr std::int64_t most = 1 << 20;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(options.max_sequences, 1, most)) * 2;
}

std::string describe(const EngineStats& s) {
  return fmt::format(
      R"(rank {{"replica": {}, "rank": {}, "ranks": {}, "transport": "{}", "isa": "{}", )"
      R"("checkpoint_bytes_read": {}, "weight_bytes": {}, "shared_weights": {}, )"
      R"("mapped_weights": {}, "model_blocks": {}, "kv_blocks": {}, "multiply_adds": {}, "steps": {}, )"
      R"("computed_tokens": {}, "prompt_tokens": {}, "generated_tokens": {}, "preemptions": {}, )"
      R"("drafted_tokens": {}, "accepted_tokens": {}}})",
      s.replica, s.rank, s.ranks, s.transport, s.isa, s.checkpoint_bytes_read, s.weight_bytes,
      s.shared_weights, s.mapped_weights, s.model_blocks, s.kv_blocks, s.multiply_adds, s.steps,
      s.computed_tokens, s.prompt_tokens, s.generated_tokens, s.preemptions, s.drafted_tokens,
      s.accepted_tokens);
}

/// Drivers of two replicas in one run of ranks (MPI).
class DriverChannel : public RowChannel {
 public:
  DriverChannel(Engine& engine, int replica) : engine_(engine), replica_(replica) {}
  bool send(std::string_view message) override {
    engine_.send_to_driver(replica_, message);
    return true;
  }
  std::optional<std::string> try_receive() override {
    return engine_.receive_from_driver(replica_);
  }
  bool wait() override {
    std::this_thread::sleep_for(milliseconds(1));
    return true;
  }

 private:
  Engine& engine_;
  int replica_;
};

/// A worker's end of the launcher's control channel.
class ControlEnd : public RowChannel {
 public:
  explicit ControlEnd(ControlChannel channel) : channel_(std::move(channel)) {}
  bool send(std::string_view message) override { return channel_.send(message); }
  std::optional<std::string> try_receive() override { return channel_.try_receive(); }
  bool wait() override {
    pollfd ready{channel_.fd(), POLLIN, 0};
    poll(&ready, 1, 100);
    return !channel_.closed();
  }

 private:
  ControlChannel channel_;
};

/// Rank 0 coordinates and, in turn with that, drives its own replica.
class RankZero {
 public:
  RankZero(const BatchJob& job, const OnBatchProgress& on_progress, const OnBatchNotice& on_notice)
      : job_(job),
        observer_(job, on_notice),
        desk_(
            job, [this](auto worker, const std::string& m) { send(worker, m); }, on_progress,
            on_notice, observer_) {}

  std::int64_t started() const { return desk_.started(); }

  /// Works until the job is over: done, stopped, or the desk has failed.
  void run(Engine& engine) {
    for (int replica = 1; replica < job_.options.data_parallel_size; ++replica) {
      others_.push_back(std::make_unique<DriverChannel>(engine, replica));
    }
    engine.prepare(job_.rows.chat);
    BatchWorker own(engine, link_.worker(), capacity_of(job_.options));
    while (!over()) {
      own.turn();
      if (own.idle()) std::this_thread::sleep_for(milliseconds(1));
    }
    // The engine is between two steps: the ranks can part in peace.
    for (const auto& other : others_) dismiss(*other);
    engine.stop();
  }

  /// Completes the output, if all rows are answered, or throws what made the desk fail. Once the
  /// engine is gone: while it exists, an exception on its way aborts all ranks before anybody has
  /// read the message, and a long silence would be taken for this rank's death.
  BatchOutcome outcome() {
    return observed(observer_, [this] {
      if (failure_) std::rethrow_exception(failure_);
      return outcome_ ? *outcome_ : desk_.finish();
    });
  }

 private:
  void send(Coordinator::WorkerId worker, const std::string& message) {
    if (worker == 0) {
      link_.coordinator().send(message);
    } else {
      others_[worker - 1]->send(message);
    }
  }

  bool over() {
    try {
      receive_all();
      desk_.turn();
      if (desk_.done()) return true;
      if (desk_.wind_up(job_.stop_requests ? job_.stop_requests() : 0)) {
        outcome_ = desk_.end_early();
      }
    } catch (const Error&) {
      failure_ = std::current_exception();
    }
    return outcome_ || failure_;
  }

  void receive_all() {
    while (auto message = link_.coordinator().try_receive()) desk_.server().receive(0, *message);
    for (std::size_t i = 0; i < others_.size(); ++i) {
      while (auto message = others_[i]->try_receive()) {
        desk_.server().receive(static_cast<Coordinator::WorkerId>(i + 1), *message);
      }
    }
  }

  /// Tells a replica to stop and takes in what it still sends, up to its farewell: MPI does not let
  /// a rank go while a message of it is on the way.
  static void dismiss(DriverChannel& other) {
    other.send(encode(StopMessage{}));
    for (;;) {
      while (auto message = other.try_receive()) {
        if (std::holds_alternative<StopMessage>(decode(*message))) return;
      }
      other.wait();
    }
  }

  const BatchJob& job_;
  JobObserver observer_;
  LocalLink link_;
  std::vector<std::unique_ptr<DriverChannel>> others_;
  Desk desk_;
  std::optional<BatchOutcome> outcome_;
  std::exception_ptr failure_;
};

/// Another replica's driver works for rank 0 until that says stop, and says so, too.
void work_for_rank_zero(const BatchJob& job, Engine& engine) {
  DriverChannel channel(engine, 0);
  engine.prepare(job.rows.chat);
  BatchWorker(engine, channel, capacity_of(job.options)).run();
  engine.stop();
  channel.send(encode(StopMessage{}));
}

void work_as_rank(const BatchJob& job, Engine& engine, RankZero* zero) {
  if (zero != nullptr) {
    zero->run(engine);
  } else if (engine.is_driver()) {
    work_for_rank_zero(job, engine);
  } else {
    engine.follow();
  }
}

/// Drives the replica for the launcher, or follows.
void serve(const BatchJob& job) {
  Engine engine(job.options, std::strtoll(std::getenv(batch_start_variable), nullptr, 10));
  if (engine.is_driver()) {
    std::optional<ControlChannel> control = ControlChannel::from_environment();
    if (!control)
      fail(ErrorKind::usage, "TRIREME_CONTROL_FD is missing; ranks start by launch only");
    engine.prepare(job.rows.chat);
    ControlEnd channel(std::move(*control));
    BatchWorker(engine, channel, capacity_of(job.options)).run();
    engine.stop();
  } else {
    engine.follow();
  }
  if (job.stats) fmt::print(stderr, "trireme: {}\n", describe(engine.stats()));
}

void tell_launcher(const std::string& message) {
  if (!report_failure(message)) fmt::print(stderr, "trireme: {}\n", message);
}

}  // namespace

BatchOutcome run_batch_in_ranks(const BatchJob& job, const OnBatchProgress& on_progress,
                                const OnBatchNotice& on_notice) {
  BatchJob agreed = job;
  std::optional<RankZero> zero;
  // Before the model: what is wrong with the files is told at once, and the journal knows the
  // start.
  Ranks ranks(job.options, [&](const Options& options, const Hosts& hosts) {
    agreed.options = options;
    if (job.check) job.check(agreed, hosts);
    zero.emplace(agreed, on_progress, on_notice);
  });
  {
    Engine engine(std::move(ranks), zero ? zero->started() : job.now);
    work_as_rank(job, engine, zero ? &*zero : nullptr);
    if (job.stats) on_notice(describe(engine.stats()));
  }
  return zero ? zero->outcome() : BatchOutcome{};
}

bool is_launched_batch_rank() { return std::getenv(batch_start_variable) != nullptr; }

int serve_batch_in_launched_rank(const BatchJob& job) {
  try {
    serve(job);
    return 0;
  } catch (const Error& error) {
    // Who died is the launcher's to tell.
    if (error.kind() != ErrorKind::peer_lost) tell_launcher(error.what());
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    tell_launcher("out of memory; `trireme plan` tells what a plan needs");
    return exit_code(ErrorKind::resource);
  } catch (const std::exception& error) {
    tell_launcher(error.what());
    return 1;
  }
}

}  // namespace trireme
