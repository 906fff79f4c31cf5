#include "launch/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "comm/shm_segment.h"
#include "core/error.h"
#include "launch/output.h"
#include "launch/process.h"

namespace trireme {

struct Launcher::Rank {
  std::optional<Process> process;
  std::vector<PrefixedOutput> output;  // stdout and stderr, if prefixed
  bool ended = false;
  std::uint64_t heartbeat = 0;
  Clock::time_point alive_at;  // when the heartbeat last changed
  std::optional<unsigned long> cpu_ticks;
  Clock::time_point cpu_at;  // when the processor time last changed
};

struct Launcher::Group {
  std::optional<ShmSegment> segment;
  std::optional<ControlChannel> control;
  std::vector<Rank> ranks;
  std::string reason;  // of the first failure
  int failed_rank = 0;
  int exit_code = 0;
  int signal = 0;
  std::optional<Clock::time_point> kill_at;
  bool killed = false;  // by this launcher: what ranks end with from now on says nothing
  bool finished = true;
};

Launcher::Launcher(LaunchSpec spec) : spec_(std::move(spec)) {
  TRIREME_ASSERT(spec_.groups > 0 && spec_.group_size > 0);
  TRIREME_ASSERT(spec_.fds.empty() || static_cast<int>(spec_.fds.size()) == spec_.group_size);
  for (int g = 0; g < spec_.groups; ++g) groups_.push_back(std::make_unique<Group>());
}

Launcher::~Launcher() = default;

std::string Launcher::name(int group, int rank) const {
  std::string text = spec_.groups > 1 ? fmt::format("replica {}, rank {}", group, rank)
                                      : fmt::format("rank {}", rank);
  if (spec_.sizes.replica() == spec_.group_size && spec_.group_size > 1) {
    const RankPoint point = point_of(rank, spec_.sizes);
    text += fmt::format(" (tp {}, pp {})", point.tp, point.pp);
  }
  return text;
}

void Launcher::start() {
  try {
    for (int group = 0; group < spec_.groups; ++group) start_group(group);
  } catch (...) {
    for (auto& group : groups_) group = std::make_unique<Group>();
    throw;
  }
}

void Launcher::start_group(int number) {
  auto& slot = groups_[static_cast<std::size_t>(number)];
  slot = std::make_unique<Group>();
  try {
    slot->segment = ShmSegment::create(spec_.group_size);
    for (int rank = 0; spec_.trace && rank < spec_.group_size; ++rank) {
      slot->segment->trace(rank).on.store(1);
    }
    std::optional<ControlChannel> theirs;
    if (spec_.control) {
      auto [ours, other] = ControlChannel::make_pair();
      slot->control = std::move(ours);
      theirs = std::move(other);
    }
    for (int rank = 0; rank < spec_.group_size; ++rank) {
      start_rank(number, rank, rank == 0 && theirs ? &*theirs : nullptr);
    }
    slot->finished = false;
  } catch (...) {
    slot = std::make_unique<Group>();
    throw;
  }
}

void Launcher::start_rank(int number, int rank, ControlChannel* control) {
  Group& group = *groups_[static_cast<std::size_t>(number)];
  const int local_rank = number * spec_.group_size + rank;
  ProcessSpec process;
  process.program = spec_.program.empty() ? "/proc/self/exe" : spec_.program;
  process.argv.push_back(spec_.program.empty() ? "trireme" : spec_.program);
  process.argv.insert(process.argv.end(), spec_.arguments.begin(), spec_.arguments.end());
  process.env = spec_.env;
  const auto tell = [&](const char* variable, int value) {
    process.env[variable] = std::to_string(value);
  };
  const auto hand_over = [&](const std::string& variable, int fd) {
    process.env[variable] = std::to_string(fd);
    process.inherited.push_back(fd);
  };
  tell("TRIREME_RANK", rank);
  tell("TRIREME_WORLD_SIZE", spec_.group_size);
  tell("TRIREME_REPLICA", number);
  tell("TRIREME_REPLICAS", spec_.groups);
  tell("TRIREME_LOCAL_RANK", local_rank);
  tell("TRIREME_LOCAL_SIZE", spec_.groups * spec_.group_size);
  if (spec_.machines) {
    tell_machines(process.env, local_rank);
  } else {
    hand_over("TRIREME_SHM_FD", group.segment->fd());
  }
  // This process may itself be a rank with such descriptors, which are not the child's.
  process.env["TRIREME_CONTROL_FD"] = process.env["TRIREME_WEIGHTS_FD"] = "";
  if (control != nullptr) hand_over("TRIREME_CONTROL_FD", control->fd());
  if (!spec_.fds.empty()) {
    for (const InheritedFd& given : spec_.fds[static_cast<std::size_t>(rank)]) {
      hand_over(given.variable, given.fd);
    }
  }
  // Two readers of one terminal or pipe would each get some of it.
  const int nothing = local_rank == 0 ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0) process.standard[0] = nothing;
  Rank& started = group.ranks.emplace_back();
  if (spec_.prefix_output) {
    for (const int target : {STDOUT_FILENO, STDERR_FILENO}) {
      started.output.emplace_back(target, fmt::format("[rank {}] ", local_rank));
      process.standard[target] = started.output.back().child_end();
    }
  }
  started.process = Process::start(process);
  started.alive_at = started.cpu_at = Clock::now();
  for (PrefixedOutput& output : started.output) output.close_child_end();
  if (nothing >= 0) close(nothing);
}

/// What torchrun would say.
void Launcher::tell_machines(std::map<std::string, std::string>& env, int local_rank) const {
  env["TRIREME_SHM_FD"] = "";
  env["TRIREME_NUM_MACHINES"] = std::to_string(spec_.machines->count);
  env["RANK"] = std::to_string(spec_.machines->first_rank + local_rank);
  env["WORLD_SIZE"] = std::to_string(spec_.machines->ranks);
  env["LOCAL_RANK"] = std::to_string(local_rank);
  env["LOCAL_WORLD_SIZE"] = std::to_string(spec_.group_size);
  env["MASTER_ADDR"] = spec_.machines->address;
  env["MASTER_PORT"] = std::to_string(spec_.machines->port);
}

bool Launcher::running(int group) const {
  return !groups_[static_cast<std::size_t>(group)]->finished;
}

bool Launcher::any_running() const {
  return std::any_of(groups_.begin(), groups_.end(), [](auto& group) { return !group->finished; });
}

ControlChannel& Launcher::control(int group) {
  TRIREME_ASSERT(groups_[static_cast<std::size_t>(group)]->control.has_value());
  return *groups_[static_cast<std::size_t>(group)]->control;
}

const RankActivity& Launcher::activity(int group, int rank) const {
  return groups_[static_cast<std::size_t>(group)]->segment->rank(rank).activity;
}

const TraceRing& Launcher::trace(int group, int rank) const {
  return groups_[static_cast<std::size_t>(group)]->segment->trace(rank);
}

/// Tells the ranks of a group to give up, and remembers why. A rank that leaves because it has lost
/// a peer may be seen before that peer, which is the true cause.
void Launcher::fail_group(int number, int rank, ExitStatus status, const std::string& reason) {
  Group& group = *groups_[static_cast<std::size_t>(number)];
  constexpr int lost_a_peer = 5;
  const bool cause_of_known =
      group.exit_code == lost_a_peer && status.code != lost_a_peer && !group.killed;
  if (group.exit_code != 0 && !cause_of_known) return;
  group.exit_code = status.code;
  group.signal = status.signal;
  group.failed_rank = rank;
  group.reason = reason;
  group.segment->abort(reason);
  if (!group.kill_at) group.kill_at = Clock::now() + spec_.grace;
}

void Launcher::kill_ranks(Group& group) {
  group.killed = true;
  for (const Rank& rank : group.ranks) rank.process->signal(SIGKILL);
}

void Launcher::kill_group(int number, std::string_view reason) {
  Group& group = *groups_[static_cast<std::size_t>(number)];
  if (group.finished) return;
  fail_group(number, 0, {1, SIGKILL}, std::string(reason));
  kill_ranks(group);
}

void Launcher::restart_group(int group) {
  TRIREME_ASSERT(!running(group));
  start_group(group);
}

void Launcher::stop(int signal, std::chrono::milliseconds grace, bool deliver) {
  for (auto& group : groups_) {
    if (group->finished) continue;
    group->kill_at = Clock::now() + grace;
    for (const Rank& rank : group->ranks) {
      if (deliver) rank.process->signal(signal);
    }
  }
}

std::vector<LaunchEvent> Launcher::poll(std::chrono::milliseconds timeout, std::span<pollfd> also) {
  const auto end = Clock::now() + timeout;
  std::vector<LaunchEvent> events;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    wait_for_something(
        std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(100)), also);
    look(events);
    const bool also_ready = std::any_of(also.begin(), also.end(),
                                        [](const pollfd& entry) { return entry.revents != 0; });
    if (!events.empty() || also_ready || Clock::now() >= end) return events;
  }
}

void Launcher::wait_for_something(std::chrono::milliseconds timeout, std::span<pollfd> also) {
  std::vector<pollfd> entries(also.begin(), also.end());
  for (const auto& group : groups_) {
    for (const Rank& rank : group->ranks) {
      if (!rank.ended) entries.push_back({rank.process->pidfd(), POLLIN, 0});
      for (const PrefixedOutput& output : rank.output) entries.push_back({output.fd(), POLLIN, 0});
    }
  }
  const int count = ::poll(entries.data(), entries.size(), static_cast<int>(timeout.count()));
  for (std::size_t i = 0; i < also.size(); ++i) {
    also[i].revents = count > 0 ? entries[i].revents : short{0};
  }
}

void Launcher::look(std::vector<LaunchEvent>& events) {
  forgive_own_absence();
  for (int number = 0; number < spec_.groups; ++number) {
    Group& group = *groups_[static_cast<std::size_t>(number)];
    if (group.finished) continue;
    if (group.kill_at && Clock::now() >= *group.kill_at) kill_ranks(group);
    for (int rank = 0; rank < spec_.group_size; ++rank) look_at_rank(number, rank, events);
    const auto ended = [](const Rank& rank) { return rank.ended; };
    if (std::all_of(group.ranks.begin(), group.ranks.end(), ended)) {
      group.finished = true;
      events.push_back({LaunchEvent::Kind::group_finished, number, group.failed_rank,
                        group.exit_code, group.signal, group.reason});
    }
  }
}

/// When this process itself has stood still (Ctrl-Z stops the ranks with it), silence proves
/// nothing.
void Launcher::forgive_own_absence() {
  constexpr std::chrono::seconds absence{2};
  const auto now = Clock::now();
  if (now - looked_at_ > absence) {
    for (const auto& group : groups_) {
      for (Rank& rank : group->ranks) rank.alive_at = rank.cpu_at = now;
    }
  }
  looked_at_ = now;
}

void Launcher::look_at_rank(int number, int index, std::vector<LaunchEvent>& events) {
  Group& group = *groups_[static_cast<std::size_t>(number)];
  Rank& rank = group.ranks[static_cast<std::size_t>(index)];
  if (rank.ended) return;
  const std::optional<ExitStatus> status = rank.process->status();
  for (PrefixedOutput& output : rank.output) output.pump();
  if (status) {
    rank.ended = true;
    const std::string text = status->failed() ? name(number, index) + " " + status->text() : "";
    if (status->failed()) fail_group(number, index, *status, text);
    group.segment->mark_gone(index);
    events.push_back(
        {LaunchEvent::Kind::rank_exited, number, index, status->code, status->signal, text});
  } else if (hangs(group, rank, index)) {
    const auto silence = Clock::now() - rank.alive_at;
    const std::string text =
        fmt::format("{} hangs: no sign of life for {} s", name(number, index),
                    std::chrono::duration_cast<std::chrono::seconds>(silence).count());
    fail_group(number, index, {1, SIGKILL}, text);
    rank.process->signal(SIGKILL);
    rank.alive_at = rank.cpu_at = Clock::now();  // reported once
    events.push_back({LaunchEvent::Kind::rank_hung, number, index, 1, SIGKILL, text});
  }
}

/// A rank that has connected (or must) and not left must tick, or at least use the processor.
bool Launcher::hangs(Group& group, Rank& rank, int number) {
  const ShmRank& shared = group.segment->rank(number);
  const std::uint64_t beat = shared.heartbeat.load(std::memory_order_relaxed);
  const auto now = Clock::now();
  const bool may_be_silent = (beat == 0 && !spec_.must_connect) || shared.gone.load() != 0;
  if (may_be_silent || beat != rank.heartbeat) {
    rank.heartbeat = beat;
    rank.alive_at = rank.cpu_at = now;
    rank.cpu_ticks.reset();
    return false;
  }
  if (now - rank.alive_at < std::min(spec_.hang_after / 4, std::chrono::milliseconds(1000))) {
    return false;  // too early to look closer
  }
  const auto ticks = rank.process->cpu_ticks();
  if (ticks != rank.cpu_ticks) {
    // The first look has nothing to compare with.
    if (rank.cpu_ticks) rank.cpu_at = now;
    rank.cpu_ticks = ticks;
  }
  return now - rank.cpu_at >= spec_.hang_after || now - rank.alive_at >= spec_.busy_hang_after;
}

int Launcher::wait_all() {
  int exit_code = 0;
  while (any_running()) {
    for (const LaunchEvent& event : poll(std::chrono::seconds(1))) {
      if (event.kind != LaunchEvent::Kind::group_finished || event.exit_code == 0) continue;
      std::fprintf(stderr, "trireme: %s\n", event.text.c_str());
      if (exit_code == 0) exit_code = event.exit_code;
    }
  }
  return exit_code;
}

}  // namespace trireme
