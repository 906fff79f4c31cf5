// `trireme worker`: a replica more for a batch that another host coordinates.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "batch/join_messages.h"
#include "batch/join_worker.h"
#include "cli/arguments.h"
#include "cli/ranks.h"
#include "cli/row_job.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "comm/environment.h"
#include "net/shared_key.h"
#include "trireme/error.h"

namespace trireme {

namespace {

struct WorkerFlags {
  JoinSettings join;
  std::string new_key;
  std::string leave;
  std::string at;
  int reconnect_seconds = 60;
};

/// "node7-4711": of this host, and of one worker.
std::string default_name() {
  constexpr std::size_t most_host = 48;
  char host[256] = "worker";
  gethostname(host, sizeof(host) - 1);
  std::string name = std::string(host).substr(0, most_host);
  std::replace_if(
      name.begin(), name.end(),
      [](char c) {
        return !is_worker_name({&c, 1});
      },
      '-');
  return fmt::format("{}-{}", name, getpid());
}

bool parse(WorkerFlags& flags, int argc, char** argv) {
  JoinSettings& join = flags.join;
  Arguments arguments(
      "worker",
      "Joins a batch that `trireme batch --listen` runs on another host, in the middle, and "
      "answers\n"
      "rows of it until it is done or this worker leaves. The model is the batch's; see\n"
      "docs/elastic.md.",
      {"trireme worker --new-key job.key     # and copy it to both hosts",
       "trireme batch -m DIR -i rows.jsonl -o out.jsonl --listen 0.0.0.0:7000 --join-key job.key",
       "trireme worker --join node1:7000 --join-key job.key -dp 2",
       "trireme worker --leave node2-4711 --at node1:7000 --join-key job.key"});
  CLI::App& app = arguments.app();
  const char* group = "Joining";
  const auto add = [&](const char* name, std::string& value, const char* help, const char* type) {
    return app.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("--join", join.address, "The batch's --listen: node1:7000, [::1]:7000", "HOST:PORT");
  add_join_key(app, join.key_file)->group(group);
  add("--name", join.name, "What the batch calls this worker [host-pid]", "NAME");
  app.add_option("--reconnect-for", flags.reconnect_seconds,
                 "How long to try again when the coordinator is gone; then exit code 5 [60]")
      ->type_name("SECONDS")
      ->check(CLI::Range(0, 1000000))
      ->group(group);
  add("--leave", flags.leave,
      "Ask the batch to let this worker go once its rows are answered (replica-0, ...: those\n"
      "of the batch's own host)",
      "NAME");
  add("--at", flags.at, "Where, for --leave", "HOST:PORT");
  add("--new-key", flags.new_key, "Write a new random key into this file, and end", "FILE");
  add("-m,--model", join.options.model, "Where the model is here [where the batch has it]", "DIR");
  add("--packed-cache", join.options.packed_cache,
      "Keep packed weights in this directory: the next start maps them", "DIR")
      ->envname("TRIREME_PACKED_CACHE");
  add_supervision(app, join.max_restarts, join.stats);
  arguments.add_plan(join.options);
  arguments.add_machine(join.options);
  arguments.add_exit_code(5, "the coordinator is gone, or the job was stopped");
  if (!arguments.parse(argc, argv)) return false;
  join.reconnect_for = std::chrono::seconds(flags.reconnect_seconds);
  join.peer_timeout = peer_timeout();
  return true;
}

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorKind::usage, text); }

void check(const WorkerFlags& flags) {
  const JoinSettings& join = flags.join;
  const int ways = !join.address.empty() + !flags.leave.empty() + !flags.new_key.empty();
  if (ways != 1) refuse("name one of --join HOST:PORT, --leave NAME and --new-key FILE");
  if (flags.leave.empty() != flags.at.empty()) refuse("--leave NAME goes with --at HOST:PORT");
  if (flags.new_key.empty() && join.key_file.empty()) {
    refuse("--join-key FILE (or TRIREME_JOIN_KEY_FILE): name the key that the batch has, too");
  }
  for (const std::string& name : {join.name, flags.leave}) {
    if (name.empty() || is_worker_name(name)) continue;
    refuse(fmt::format("{}: a worker's name has up to 64 letters, digits and ._:@-", name));
  }
  if (join.options.max_model_len != 0) refuse("--max-model-len: is the batch's to say");
  if (rank_place().started) {
    refuse("a worker starts its ranks itself: run it without mpirun, once on each host");
  }
}

/// The words by which this program becomes a rank that answers rows. Its files are the
/// coordinator's.
std::vector<std::string> rank_arguments(const Options& options, bool chat) {
  std::vector<std::string> words{"batch", "-i", "-", "-o", "-"};
  const auto add = [&](const std::string& flag, const auto& value) {
    words.push_back(fmt::format("{}={}", flag, value));
  };
  add("--model", options.model);
  add("--revision", options.revision);
  add("--dtype", options.dtype);
  add("--quantization", options.quantization);
  add("--load-format", options.load_format);
  add("--seed", options.load_seed);
  add("--data-parallel-size", options.data_parallel_size);
  add("--tensor-parallel-size", options.tensor_parallel_size);
  add("--pipeline-parallel-size", options.pipeline_parallel_size);
  add("--device", options.device);
  add("--isa", options.isa);
  add("--max-num-seqs", options.max_sequences);
  add("--max-num-batched-tokens", options.max_step_tokens);
  add("--num-speculative-tokens", options.num_speculative_tokens);
  add("--prompt-lookup-max", options.prompt_lookup_max);
  add("--prompt-lookup-min", options.prompt_lookup_min);
  if (options.threads > 0) add("--threads", options.threads);
  if (options.max_model_len > 0) add("--max-model-len", options.max_model_len);
  if (options.kv_cache_bytes > 0) add("--kv-cache-memory", options.kv_cache_bytes);
  if (!options.packed_cache.empty()) add("--packed-cache", options.packed_cache);
  if (!options.offload_folder.empty()) add("--offload-folder", options.offload_folder);
  if (chat) words.push_back("--chat");
  return words;
}

void notice(const std::string& text) { fmt::print(stderr, "trireme: {}\n", text); }

}  // namespace

int worker_main(int argc, char** argv) {
  WorkerFlags flags;
  if (!parse(flags, argc, argv)) return 0;
  check(flags);
  if (!flags.new_key.empty()) {
    SharedKey::create(flags.new_key);
    notice(
        fmt::format("{} is a new key; copy it to the hosts that are to work together, and to "
                    "nobody else",
                    flags.new_key));
    return 0;
  }
  const StopSignals signals;
  JoinSettings& join = flags.join;
  join.stop_requests = stop_requests;
  join.on_notice = notice;
  if (!flags.leave.empty()) {
    join.address = flags.at;
    return ask_to_leave(join, flags.leave);
  }
  if (join.name.empty()) join.name = default_name();
  join.arguments = rank_arguments;
  join.check = [](Options& options) {
    needs_ranks(options);  // or refuses more than there can be
    place_devices(options);
    check_plan_fits(options);
  };
  return join_batch(join);
}

}  // namespace trireme
