#include "batch/replicas.h"

#include <signal.h>
#include <unistd.h>

#include "batch/job.h"
#include "batch/messages.h"
#include "core/error.h"
#include "core/shared_once.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

/// A rank that has stopped with such an error would do so again, and so would the other replicas.
bool is_hopeless(const LaunchEvent& event) {
  const auto is = [&](ErrorKind kind) { return event.exit_code == exit_code(kind); };
  return event.signal == 0 &&
         (is(ErrorKind::input) || is(ErrorKind::usage) || is(ErrorKind::resource));
}

}  // namespace

/// SIGKILL and SIGTERM come from
/// somebody else: a person, the kernel's memory killer, the launcher itself.
bool is_own_fault(int signal) {
  return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGFPE ||
         signal == SIGILL;
}

Replicas::Replicas(const ReplicaSettings& settings, Handlers handlers)
    : handlers_(std::move(handlers)),
      max_restarts_(settings.max_restarts),
      ranks_(settings.options.tensor_parallel_size * settings.options.pipeline_parallel_size),
      stats_(settings.stats),
      launcher_(spec_of(settings)),
      restarts_(static_cast<std::size_t>(settings.options.data_parallel_size)),
      ready_(restarts_.size(), false) {}

Replicas::~Replicas() {
  for (const int memory : memories_) close(memory);
}

LaunchSpec Replicas::spec_of(const ReplicaSettings& settings) {
  const Options& options = settings.options;
  LaunchSpec spec;
  spec.arguments = settings.arguments;
  spec.groups = options.data_parallel_size;
  spec.sizes = {options.data_parallel_size, options.tensor_parallel_size,
                options.pipeline_parallel_size};
  spec.group_size = spec.sizes.replica();
  spec.env[batch_start_variable] = std::to_string(settings.started);
  spec.control = true;
  spec.must_connect = true;
  spec.trace = settings.trace;
  spec.fds.resize(static_cast<std::size_t>(spec.group_size));
  for (auto& fds : spec.fds) fds.push_back({FailureReports::variable, reports_.ranks_end()});
  if (spec.groups > 1) share_weights(spec);
  return spec;
}

/// One memory per place in a replica: the replicas' ranks in that place share their weights.
void Replicas::share_weights(LaunchSpec& spec) {
  for (auto& fds : spec.fds) {
    memories_.push_back(SharedOnce::create_memory("trireme-weights"));
    fds.push_back({"TRIREME_WEIGHTS_FD", memories_.back()});
  }
}

void Replicas::post(int replica, const std::string& message) {
  if (launcher_.running(replica)) launcher_.control(replica).post(message);
}

void Replicas::turn(std::span<pollfd> also, milliseconds most) {
  std::vector<pollfd> channels(also.begin(), also.end());
  for (int replica = 0; replica < count(); ++replica) {
    if (!running(replica)) continue;
    const bool unsent = !launcher_.control(replica).flush();
    channels.push_back(
        {launcher_.control(replica).fd(), static_cast<short>(POLLIN | (unsent ? POLLOUT : 0)), 0});
  }
  const std::vector<LaunchEvent> events = launcher_.poll(most, channels);
  for (std::size_t i = 0; i < also.size(); ++i) also[i].revents = channels[i].revents;
  receive_all();
  for (const std::string& report : reports_.take()) handlers_.on_notice("error: " + report);
  for (const LaunchEvent& event : events) take(event);
}

void Replicas::receive_all() {
  for (int replica = 0; replica < count(); ++replica) {
    // One that has just ended may have left results behind.
    while (auto message = launcher_.control(replica).try_receive()) {
      ready_[static_cast<std::size_t>(replica)] = true;
      handlers_.on_message(replica, *message);
    }
  }
}

void Replicas::take(const LaunchEvent& event) {
  if (event.kind != LaunchEvent::Kind::group_finished) {
    if (!event.text.empty() && !is_hopeless(event)) handlers_.on_notice(event.text);
    return;
  }
  const int replica = event.group;
  ready_[static_cast<std::size_t>(replica)] = false;
  if (handlers_.on_ended) handlers_.on_ended(replica);
  const bool go_on = handlers_.on_lost(replica, is_own_fault(event.signal) ? event.signal : 0);
  if (is_hopeless(event)) {
    failure_ = {event.text + ", and would do so again", event.exit_code};
  } else if (go_on && !failure_ && may_restart(replica)) {
    handlers_.on_notice(
        fmt::format("replica {} starts again; its unfinished rows go to whoever is free", replica));
    launcher_.restart_group(replica);
  } else if (go_on && !failure_) {
    handlers_.on_notice(
        fmt::format("replica {} has ended {} times without any row answered in between; "
                    "it is left out",
                    replica, max_restarts_ + 1));
  }
}

bool Replicas::may_restart(int replica) {
  Restarts& restarts = restarts_[static_cast<std::size_t>(replica)];
  const std::uint64_t rows = handlers_.rows_done();
  if (rows != restarts.rows_at) restarts = {0, rows};
  return ++restarts.count <= max_restarts_;
}

void Replicas::stop(int replica) {
  if (ready_[static_cast<std::size_t>(replica)] || stats_) {
    post(replica, encode(StopMessage{}));
  } else {
    kill(replica, "the job is done");
  }
}

void Replicas::dismiss(const std::function<bool()>& hurry) {
  for (int replica = 0; replica < count(); ++replica) {
    if (running(replica)) stop(replica);
  }
  while (any_running() && !hurry()) {
    for (int replica = 0; replica < count(); ++replica) {
      if (running(replica)) launcher_.control(replica).flush();
    }
    for (const LaunchEvent& event : launcher_.poll(milliseconds(100))) {
      const bool ended = event.kind == LaunchEvent::Kind::group_finished;
      if (ended && handlers_.on_ended) handlers_.on_ended(event.group);
    }
  }
}

}  // namespace trireme
