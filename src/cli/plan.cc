// `trireme plan`: a dry run that reads headers only.
#include "trireme/plan.h"

#include <unistd.h>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/plan_text.h"
#include "cli/ranks.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace trireme {

namespace {

struct PlanFlags {
  Options options;
  PlanSettings settings;
  bool json = false;
  bool no_speed = false;
};

bool parse(PlanFlags& flags, int argc, char** argv) {
  Arguments arguments(
      "plan",
      "A dry run: which rank would hold which layers, heads and columns, how many bytes of "
      "weights,\n"
      "KV cache and activations that takes, whether it fits this machine, and how fast it would "
      "be\n"
      "(a few layers are run with made-up weights). Of the model's files it reads headers only.",
      {"trireme plan --model demo/llama -tp 2 -pp 2",
       "trireme plan --model demo/llama -dp 2 -tp 3 --max-model-len 512 --json",
       "trireme plan --model org/name -pp 4 --ranks-per-host 1 --host-memory 64G",
       "trireme plan --model org/name -tp 8 --device cuda --gpus 8 --gpu-memory 80G"});
  CLI::App& app = arguments.app();
  app.add_flag("--json", flags.json, "For programs: one JSON object");
  app.add_option("--ranks-per-host", flags.settings.ranks_per_host,
                 "For a run over several hosts [all ranks on one]")
      ->type_name("N")
      ->check(at_least_one(most_ranks));
  const auto add = [&](const char* name, const char* help, auto take) {
    const std::string flag = name;
    app.add_option_function<std::string>(
           flag, [flag, take](const std::string& text) { take(parse_bytes(text, flag)); }, help)
        ->type_name("BYTES");
  };
  add("--host-memory", "Memory of a host [what this one has available]",
      [&](std::int64_t bytes) { flags.settings.host_memory = bytes; });
  add("--gpu-memory", "Memory of each GPU, with --device cuda: GPUs that need not be here",
      [&](std::int64_t bytes) { flags.settings.gpu_memory = bytes; });
  app.add_option("--gpus", flags.settings.gpus,
                 "GPUs of a host [those of this one; with --gpu-memory one for each rank]")
      ->type_name("N")
      ->check(at_least_one(most_ranks));
  add("--memory-bandwidth",
      "Of a host (of a GPU, with --device cuda), per second: an upper bound on its speed\n"
      "instead of this machine's speed",
      [&](std::int64_t bytes) { flags.settings.memory_bandwidth = static_cast<double>(bytes); });
  app.add_flag("--no-speed", flags.no_speed, "Leave the speed out");
  arguments.add_model(flags.options);
  app.get_option("--model")->required();
  arguments.add_plan(flags.options);
  arguments.add_machine(flags.options);
  arguments.check_devices_unless([&flags] { return flags.settings.gpu_memory > 0; });
  arguments.add_exit_code(0, "the plan fits");
  arguments.add_exit_code(2, "wrong usage: a flag, or sizes that the model cannot be cut into");
  arguments.add_exit_code(4, "the plan does not fit; flags that would are named");
  return arguments.parse(argc, argv);
}

}  // namespace

int plan_main(int argc, char** argv) {
  PlanFlags flags;
  if (!parse(flags, argc, argv)) return 0;
  place_devices(flags.options);
  flags.settings.rehearse = !flags.no_speed && flags.settings.memory_bandwidth == 0;
  const PlanReport report = make_plan(flags.options, flags.settings);
  for (const auto* warnings : {&report.warnings, &report.generation_warnings}) {
    for (const std::string& warning : *warnings) print_warning(warning);
  }
  print_out(flags.json ? plan_json(report) + "\n"
                       : plan_picture(report, look_at_terminal(STDOUT_FILENO)));
  if (report.fits) return 0;
  throw Error(ErrorKind::resource, shortage_text(report));
}

}  // namespace trireme
