#include "batch/job.h"

#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "batch/channel.h"
#include "batch/server.h"
#include "batch/worker.h"
#include "core/error.h"
#include "core/shared_once.h"
#include "launch/launcher.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr const char* start_variable = "TRIREME_BATCH_START";
constexpr int most_restarts = 3;  // of one replica without any row answered in between

/// Rows that a worker holds: enough that the engine never waits for the coordinator.
std::uint64_t capacity_of(const Options& options) {
  return static_cast<std::uint64_t>(options.max_sequences) * 2;
}

/// Everything that determines the output, for the journal.
std::string describe(const BatchJob& job) {
  const SamplingParams& s = job.rows.sampling;
  const auto text = [](const auto& value) { return value ? fmt::format("{}", *value) : "default"; };
  std::string stops;
  for (const std::string& stop : s.stop) stops += fmt::format("{}:{};", stop.size(), stop);
  return output_identity(job.options) +
         fmt::format("format={}\ntemplate={}\nchat={}\ntoken_ids={}\n", job.reader.format,
                     job.rows.prompt_template, job.rows.chat, job.rows.token_ids) +
         fmt::format("max_new_tokens={}\ndo_sample={}\ntemperature={}\ntop_k={}\ntop_p={}\n",
                     text(s.max_new_tokens), text(s.do_sample), text(s.temperature), text(s.top_k),
                     text(s.top_p)) +
         fmt::format("min_p={}\nrepetition_penalty={}\nseed={}\nignore_eos={}\nstop={}\n",
                     text(s.min_p), text(s.repetition_penalty), text(s.seed), text(s.ignore_eos),
                     stops);
}

std::string describe(const EngineStats& s) {
  return fmt::format(
      R"(rank {{"replica": {}, "rank": {}, "ranks": {}, "transport": "{}", "isa": "{}", )"
      R"("checkpoint_bytes_read": {}, "weight_bytes": {}, "shared_weights": {}, )"
      R"("model_blocks": {}, "kv_blocks": {}, "multiply_adds": {}, "steps": {}, )"
      R"("computed_tokens": {}, "prompt_tokens": {}, "generated_tokens": {}, "preemptions": {}}})",
      s.replica, s.rank, s.ranks, s.transport, s.isa, s.checkpoint_bytes_read, s.weight_bytes,
      s.shared_weights, s.model_blocks, s.kv_blocks, s.multiply_adds, s.steps, s.computed_tokens,
      s.prompt_tokens, s.generated_tokens, s.preemptions);
}

/// Input, output and the coordinator between them.
class Desk {
 public:
  Desk(const BatchJob& job, BatchServer::Send send, OnBatchProgress on_progress)
      : input_(open_input(job), job.reader),
        output_(open_output({job.output, describe(job), job.restart, job.overwrite})),
        server_(input_, *output_, job.rows, std::move(send)),
        on_progress_(std::move(on_progress)) {}

  BatchServer& server() { return server_; }

  void turn() {
    server_.turn();
    report();
  }

  BatchOutcome finish() {
    server_.finish();
    report();
    return {server_.coordinator().total_rows(), output_->failed_rows(),
            output_->failed_rows() > 0 ? 3 : 0, true};
  }

  std::uint64_t finished_rows() const { return server_.coordinator().finished_rows(); }

 private:
  static std::unique_ptr<ByteSource> open_input(const BatchJob& job) {
    check_distinct(job.input, job.output);
    return open_bytes(job.input);
  }

  void report() const {
    const Coordinator& c = server_.coordinator();
    on_progress_({c.finished_rows(), c.total_rows(), c.input_ended(), output_->resumed_rows(),
                  output_->failed_rows(), c.workers()});
  }

  RowReader input_;
  std::unique_ptr<RowOutput> output_;
  BatchServer server_;
  OnBatchProgress on_progress_;
};

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
BatchOutcome coordinate_and_drive(const BatchJob& job, Engine& engine,
                                  const OnBatchProgress& on_progress) {
  LocalLink link;
  std::vector<std::unique_ptr<DriverChannel>> others;
  for (int replica = 1; replica < job.options.data_parallel_size; ++replica) {
    others.push_back(std::make_unique<DriverChannel>(engine, replica));
  }
  const auto send = [&](Coordinator::WorkerId worker, const std::string& message) {
    if (worker == 0) {
      link.coordinator().send(message);
    } else {
      others[worker - 1]->send(message);
    }
  };
  Desk desk(job, send, on_progress);
  BatchWorker own(engine, link.worker(), capacity_of(job.options));
  for (;;) {
    while (auto message = link.coordinator().try_receive()) desk.server().receive(0, *message);
    for (std::size_t i = 0; i < others.size(); ++i) {
      while (auto message = others[i]->try_receive()) {
        desk.server().receive(static_cast<Coordinator::WorkerId>(i + 1), *message);
      }
    }
    desk.turn();
    if (desk.server().done()) return desk.finish();
    own.turn();
    if (own.idle() && !others.empty()) others.front()->wait();
  }
}

/// The launcher's side: the groups of ranks are the workers.
class LaunchedBatch {
 public:
  LaunchedBatch(const BatchJob& job, const std::vector<std::string>& arguments,
                const OnBatchProgress& on_progress, const OnBatchNotice& on_notice)
      : desk_(job, [this](auto worker, const std::string& m) { post(worker, m); }, on_progress),
        on_notice_(on_notice),
        launcher_(spec_of(job, arguments)),
        restarts_(static_cast<std::size_t>(job.options.data_parallel_size)),
        ready_(restarts_.size(), false) {}

  ~LaunchedBatch() {
    for (const int memory : memories_) close(memory);
  }

  BatchOutcome run() {
    launcher_.start();
    while (!desk_.server().done()) {
      desk_.turn();
      if (desk_.server().done()) break;
      if (!launcher_.any_running()) {
        on_notice_("no replica is left; everything finished so far is kept, and the same command "
                   "goes on from there");
        return {0, 0, exit_code_, true};
      }
      wait_and_receive();
    }
    BatchOutcome outcome = desk_.finish();
    flush_all();
    launcher_.wait_all();
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
    spec.env[start_variable] = std::to_string(job.now);
    spec.control = true;
    if (spec.groups > 1) share_weights(spec);
    return spec;
  }

  /// One memory per place in a replica: the replicas' ranks in that place share their weights.
  void share_weights(LaunchSpec& spec) {
    for (int rank = 0; rank < spec.group_size; ++rank) {
      memories_.push_back(SharedOnce::create_memory("trireme-weights"));
      spec.fds.push_back({{"TRIREME_WEIGHTS_FD", memories_.back()}});
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
      channels.push_back({launcher_.control(group).fd(),
                          static_cast<short>(POLLIN | (unsent ? POLLOUT : 0)), 0});
    }
    const std::vector<LaunchEvent> events = launcher_.poll(milliseconds(100), channels);
    receive_all();
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
      if (!event.text.empty()) on_notice_(event.text);
      return;
    }
    const auto group = static_cast<std::size_t>(event.group);
    desk_.server().lose(static_cast<Coordinator::WorkerId>(event.group));
    // What fails before it is ready fails for a reason that a restart does not mend.
    exit_code_ = event.signal == 0 && !ready_[group] ? event.exit_code : 5;
    const bool hopeless = event.signal == 0 && !ready_[group];
    Restarts& restarts = restarts_[group];
    if (desk_.finished_rows() != restarts.rows_at) restarts = {0, desk_.finished_rows()};
    if (hopeless || ++restarts.count > most_restarts) return;
    on_notice_(fmt::format("replica {} starts again; its unfinished rows go to whoever is free",
                           event.group));
    ready_[group] = false;
    launcher_.restart_group(event.group);
  }

  void flush_all() {
    for (int group = 0; group < launcher_.groups(); ++group) {
      if (!launcher_.running(group)) continue;
      while (!launcher_.control(group).flush()) {
        pollfd channel{launcher_.control(group).fd(), POLLOUT, 0};
        poll(&channel, 1, 100);
        if ((channel.revents & (POLLERR | POLLHUP)) != 0) break;
      }
    }
  }

  struct Restarts {
    int count = 0;
    std::uint64_t rows_at = 0;  ///< rows finished when counting began
  };

  std::vector<int> memories_;
  Desk desk_;
  OnBatchNotice on_notice_;
  Launcher launcher_;
  std::vector<Restarts> restarts_;
  std::vector<bool> ready_;
  int exit_code_ = 5;
};

}  // namespace

BatchOutcome run_batch_in_ranks(const BatchJob& job, const OnBatchProgress& on_progress,
                                const OnBatchNotice& on_notice) {
  Engine engine(job.options, job.now);
  BatchOutcome outcome;
  if (!engine.is_driver()) {
    engine.follow();
  } else if (engine.replica() != 0) {
    DriverChannel channel(engine, 0);
    BatchWorker(engine, channel, capacity_of(job.options)).run();
  } else {
    outcome = coordinate_and_drive(job, engine, on_progress);
  }
  if (job.stats) on_notice(describe(engine.stats()));
  return outcome;
}

BatchOutcome launch_batch(const BatchJob& job, const std::vector<std::string>& arguments,
                          const OnBatchProgress& on_progress, const OnBatchNotice& on_notice) {
  check_options(job.options);
  return LaunchedBatch(job, arguments, on_progress, on_notice).run();
}

bool is_launched_batch_rank() { return std::getenv(start_variable) != nullptr; }

void serve_batch_in_launched_rank(const BatchJob& job) {
  Engine engine(job.options, std::strtoll(std::getenv(start_variable), nullptr, 10));
  if (engine.is_driver()) {
    std::optional<ControlChannel> control = ControlChannel::from_environment();
    if (!control) fail(ErrorKind::usage, "TRIREME_CONTROL_FD is missing; ranks start by launch only");
    ControlEnd channel(std::move(*control));
    BatchWorker(engine, channel, capacity_of(job.options)).run();
    engine.stop();
  } else {
    engine.follow();
  }
  if (job.stats) fmt::print(stderr, "trireme: {}\n", describe(engine.stats()));
}

}  // namespace trireme
