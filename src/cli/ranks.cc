#include "cli/ranks.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "cli/arguments.h"
#include "cli/input_copy.h"
#include "cli/plan_text.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "comm/environment.h"
#include "core/shared_once.h"
#include "launch/launcher.h"
#include "trireme/engine.h"
#include "trireme/error.h"
#include "trireme/plan.h"

namespace trireme {

namespace {

constexpr const char* input_variable = "TRIREME_STDIN_FD";
constexpr const char* speaker_variable = "TRIREME_WARNINGS_BY";  ///< the process that warns
constexpr std::chrono::seconds time_to_stop{10};

LaunchSpec spec_of(const Options& options, const RankStart& start) {
  LaunchSpec spec;
  spec.arguments = start.arguments;
  spec.sizes = {options.data_parallel_size, options.tensor_parallel_size,
                options.pipeline_parallel_size};
  spec.group_size = spec.sizes.world();
  spec.fds.resize(static_cast<std::size_t>(spec.group_size));
  if (start.patient) spec.hang_after = spec.busy_hang_after = std::chrono::hours(24 * 365);
  return spec;
}

/// Memory for one copy of each shard's weights, for the replicas to share.
std::vector<Descriptor> add_weights(LaunchSpec& spec) {
  std::vector<Descriptor> memories;
  if (spec.sizes.dp == 1) return memories;
  for (int i = 0; i < spec.sizes.replica(); ++i) {
    memories.emplace_back(SharedOnce::create_memory("trireme-weights"));
  }
  for (int rank = 0; rank < spec.group_size; ++rank) {
    const auto shard = static_cast<std::size_t>(rank % spec.sizes.replica());
    spec.fds[static_cast<std::size_t>(rank)].push_back(
        {"TRIREME_WEIGHTS_FD", memories[shard].get()});
  }
  return memories;
}

/// The exit code of a group that has ended. A rank that exited by itself has said why; of one that
/// was killed only the launcher can tell.
int outcome(const LaunchEvent& event) {
  if (event.signal == 0) return event.exit_code;
  print_error(event.text);
  return exit_code(ErrorKind::peer_lost);
}

const char* verbs_for(ModelKind kind) {
  switch (kind) {
    case ModelKind::decoder:
      return "`trireme run`, `batch` and `score`";
    case ModelKind::encoder_decoder:
      return "`trireme translate`, `run` and `batch`";
    case ModelKind::sentence:
      return "`trireme embed`";
    case ModelKind::classifier:
      return "`trireme classify`";
    case ModelKind::masked_lm:
      return "`trireme fill-mask`";
    case ModelKind::features:
      break;
  }
  return "a program written on the library (Engine::forward)";
}

int wait_for(Launcher& launcher) {
  int result = 0;
  int stops_seen = 0;
  while (launcher.any_running()) {
    for (const LaunchEvent& event : launcher.poll(std::chrono::milliseconds(100))) {
      if (event.kind != LaunchEvent::Kind::group_finished) continue;
      if (stops_seen == 0) result = outcome(event);
    }
    const int stops = stop_requests();
    if (stops == stops_seen) continue;
    // What the terminal sends has reached the ranks, too: they are in the same process group.
    if (stops > 1) launcher.stop(SIGKILL, std::chrono::seconds(0));
    if (stops == 1) launcher.stop(stop_signal(), time_to_stop, !stop_came_from_terminal());
    stops_seen = stops;
  }
  return stops_seen > 0 ? 128 + stop_signal() : result;
}

}  // namespace

namespace {

constexpr const char* device_map_variable = "TRIREME_DEVICE_MAP";  ///< as the launcher decided
constexpr const char* cache_variable = "TRIREME_KV_CACHE_BYTES";

}  // namespace

void place_devices(Options& options) {
  const RankPlace place = rank_place();
  const char* const map = std::getenv(device_map_variable);
  const char* const cache = std::getenv(cache_variable);
  if (place.started && place.transport == "shm" && map != nullptr && cache != nullptr) {
    options.device_map = map;
    options.kv_cache_bytes = std::strtoll(cache, nullptr, 10);
    return;
  }
  // Another run's, whose program has started this one: not for this one's ranks, either.
  unsetenv(device_map_variable);
  unsetenv(cache_variable);
  if (options.device_map.empty() && options.max_memory.empty()) return;
  if (place.started) return;  // by mpirun: the ranks agree when they meet
  options = place_on_devices(options);
  setenv(device_map_variable, options.device_map.c_str(), 1);
  setenv(cache_variable, std::to_string(options.kv_cache_bytes).c_str(), 1);
}

bool needs_ranks(const Options& options) {
  const std::int64_t world = std::int64_t{options.data_parallel_size} *
                             options.tensor_parallel_size * options.pipeline_parallel_size;
  if (world > most_ranks) {
    throw Error(ErrorKind::usage,
                fmt::format("-dp {} -tp {} -pp {} makes {} ranks; at most {} are supported",
                            options.data_parallel_size, options.tensor_parallel_size,
                            options.pipeline_parallel_size, world, most_ranks));
  }
  return world > 1 && !rank_place().started;
}

int run_on_ranks(const Options& options, const RankStart& start) {
  const StopSignals signals;
  LaunchSpec spec = spec_of(options, start);
  const std::vector<Descriptor> weights = add_weights(spec);
  std::vector<Descriptor> input;
  if (start.share_input) {
    input.push_back(copy_of_input("-"));
    for (auto& fds : spec.fds) fds.push_back({input_variable, input.back().get()});
  }
  if (stop_requested()) return 128 + stop_signal();
  Launcher launcher(spec);
  launcher.start();
  return wait_for(launcher);
}

std::string input_path(const std::string& path, const Options& options) {
  if (path != "-") return path;
  if (const char* const fd = std::getenv(input_variable)) {
    return path_of_descriptor(std::atoi(fd));
  }
  const RankPlace place = rank_place();
  const int ranks =
      options.data_parallel_size * options.tensor_parallel_size * options.pipeline_parallel_size;
  if (place.started && ranks > 1) {
    throw Error(ErrorKind::usage,
                "-i -: every rank has to read the input, but mpirun and `trireme launch` give "
                "standard input to one only; name a file");
  }
  return path;
}

void check_kind(const PlanReport& report, const VerbNeeds& needs) {
  const auto found = std::find(needs.kinds.begin(), needs.kinds.end(), report.kind);
  if (needs.kinds.empty() || found != needs.kinds.end()) return;
  throw Error(ErrorKind::usage,
              fmt::format("{}: {} is a {} ({}); use {}", needs.verb, report.directory,
                          name_of(report.kind), report.architecture, verbs_for(report.kind)));
}

ModelFacts check_plan_fits(const Options& options, const Hosts& hosts, const VerbNeeds& needs) {
  PlanSettings settings;
  settings.ranks_per_host = hosts.ranks_per_host;
  settings.host_memory = hosts.memory;
  const PlanReport report = make_plan(options, settings);
  check_kind(report, needs);
  // The launcher has looked already; its groups of ranks would count each other's memory.
  if (!report.fits && rank_place().transport != "shm") {
    throw Error(ErrorKind::resource, shortage_text(report));
  }
  print_once(report.warnings);
  return {report.kind, report.says_how_long, report.generation_warnings};
}

void print_once(const std::vector<std::string>& warnings) {
  if (rank_place().rank > 0) return;
  // Whoever became the launcher of this run, as ranks inherit.
  const std::string me = std::to_string(getpid());
  const char* const speaker = std::getenv(speaker_variable);
  if (rank_place().started && speaker != nullptr && speaker != me) return;
  setenv(speaker_variable, me.c_str(), 1);
  for (const std::string& warning : warnings) print_warning(warning);
}

std::vector<std::string> as_strings(int argc, char** argv) { return {argv, argv + argc}; }

}  // namespace trireme
