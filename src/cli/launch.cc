// `trireme launch`: the ranks of a program written on the library.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/launch_words.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "core/range.h"
#include "launch/supervise.h"
#include "trireme/error.h"

namespace trireme {

namespace {

constexpr const char* how = "as in `trireme launch --num_processes 4 ./my_program`";

struct LaunchFlags {
  std::optional<int> processes;
  int machines = 1;
  int machine_rank = 0;
  std::string ip;
  int port = 0;
  std::string hostfile;
  bool prefix = false;
};

void add_flags(Arguments& arguments, LaunchFlags& flags) {
  CLI::App& app = arguments.app();
  const auto add = [&](const char* names, auto& value, const char* type, const char* help) {
    return app.add_option(names, value, help)->type_name(type);
  };
  add("-n,--num_processes,--num-processes,--ranks", flags.processes, "N",
      "How many processes, on all machines together")
      ->check(at_least_one(most_ranks));
  add("--num_machines,--num-machines", flags.machines, "N",
      "Machines that each run this command [1]")
      ->check(at_least_one(most_ranks));
  add("--machine_rank,--machine-rank", flags.machine_rank, "N", "Which of them this is, from 0")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""));
  add("--main_process_ip,--main-process-ip", flags.ip, "HOST", "Address of machine 0");
  add("--main_process_port,--main-process-port", flags.port, "PORT", "Free port of machine 0")
      ->check(at_least_one(65535));
  add("--hostfile,--mpirun_hostfile,--mpirun-hostfile", flags.hostfile, "FILE",
      "Hosts for mpirun, which then starts the processes");
  app.add_flag("--prefix", flags.prefix, "Begin each line of a process's output with [rank R]");
}

/// Accelerate's flags that change nothing here; `said` collects those that were given.
void add_meaningless_flags(CLI::App& app, std::vector<std::string>& said) {
  const char* group = "";  // not in the help
  for (const char* const name : {"--multi_gpu", "--cpu", "--no_python", "--same_network", "--debug",
                                 "-q,--quiet", "--enable_cpu_affinity"}) {
    app.add_flag_callback(name, [] {})->group(group);
  }
  for (const std::string name : {"--mixed_precision", "--dynamo_backend", "--gpu_ids",
                                 "--rdzv_backend", "--num_cpu_threads_per_process"}) {
    app.add_option_function<std::string>(
           name, [&said, name](const std::string&) { said.push_back(name); })
        ->group(group);
  }
}

bool parse(LaunchFlags& flags, const LaunchWords& words) {
  Arguments arguments(
      "launch",
      "Starts processes of a program that is written on the library (include/trireme/). When one "
      "fails\nthe others are ended; its exit code becomes this one's. The flags may also stand "
      "behind the\nprogram's name; what follows -- is the program's alone.",
      {"trireme launch --num_processes 4 ./my_program --an-option-of-its-own",
       "trireme launch -n 2 --prefix -- python3 my_script.py",
       "trireme launch --num_processes 8 --hostfile hosts ./my_program"});
  arguments.set_usage("trireme launch [OPTIONS] [--] PROGRAM [ARGUMENTS]");
  add_flags(arguments, flags);
  std::vector<std::string> said;
  add_meaningless_flags(arguments.app(), said);
  arguments.add_exit_code(0, "all processes exited with 0");
  arguments.add_exit_code(1, "the program cannot be started, or a signal ended a process");
  arguments.add_exit_code(2, "wrong usage of a flag");
  arguments.add_exit_code(4, "not enough resources to start the processes");
  arguments.add_exit_code(5, "a process hung; else what the first that failed exited with");
  const auto found = default_config_path();
  if (found) arguments.use_config(*found);
  std::vector<std::string> all{"launch"};
  all.insert(all.end(), words.flags.begin(), words.flags.end());
  std::vector<char*> pointers;
  for (std::string& word : all) pointers.push_back(word.data());
  if (!arguments.parse(static_cast<int>(pointers.size()), pointers.data())) return false;
  if (arguments.config() != nullptr && arguments.config()->path == accelerate_config_path()) {
    std::fprintf(stderr, "trireme: settings from %s\n", arguments.config()->path.c_str());
  }
  if (!said.empty()) {
    print_warning(fmt::format("{}: without a meaning here; the program chooses by its own options",
                              fmt::join(said, ", ")));
  }
  return true;
}

void check(const LaunchFlags& flags, const LaunchWords& words) {
  if (words.program.empty()) {
    throw Error(ErrorKind::usage, fmt::format("name a program, {}", how));
  }
  if (!flags.processes && flags.hostfile.empty()) {
    throw Error(ErrorKind::usage,
                fmt::format("say how many processes: --num_processes N, {}; or write it down with "
                            "`trireme config`",
                            how));
  }
  if (flags.machine_rank >= flags.machines) {
    throw Error(ErrorKind::usage,
                fmt::format("--machine_rank {}: with --num_machines {} it is 0 "
                            "to {}",
                            flags.machine_rank, flags.machines, flags.machines - 1));
  }
}

/// This machine's part of the processes.
void take_share(LaunchSpec& spec, const LaunchFlags& flags) {
  if (flags.ip.empty() || flags.port == 0) {
    throw Error(ErrorKind::usage,
                "--num_machines: say where they meet: --main_process_ip HOST and "
                "--main_process_port PORT of machine 0");
  }
  if (*flags.processes < flags.machines) {
    throw Error(ErrorKind::usage, fmt::format("--num_processes {}: it is the number on all {} "
                                              "machines together, at least one on each",
                                              *flags.processes, flags.machines));
  }
  if (std::getenv("TRIREME_SECRET") == nullptr) {
    throw Error(ErrorKind::usage,
                "--num_machines: set TRIREME_SECRET to the same on every machine, for example to "
                "what `openssl rand -hex 16` prints: ranks show each other that they know it");
  }
  const Range share = even_part(*flags.processes, flags.machines, flags.machine_rank);
  spec.group_size = static_cast<int>(share.size());
  spec.machines = {flags.machines, static_cast<int>(share.begin), *flags.processes, flags.ip,
                   flags.port};
}

/// Becomes mpirun.
[[noreturn]] void run_by_mpi(const LaunchFlags& flags, const std::vector<std::string>& program) {
  std::vector<std::string> words{"mpirun", "--hostfile", flags.hostfile};
  if (flags.processes) {
    words.insert(words.end(), {"-n", std::to_string(*flags.processes)});
  }
  words.insert(words.end(), program.begin(), program.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp("mpirun", pointers.data());
  throw Error(ErrorKind::resource,
              fmt::format("--hostfile {}: mpirun cannot be run: {}; install MPI on every host "
                          "(Debian: apt install openmpi-bin)",
                          flags.hostfile, std::strerror(errno)));
}

}  // namespace

int launch_main(int argc, char** argv) {
  const std::vector<std::string> arguments{argv + 1, argv + argc};
  const LaunchWords words = split_launch_words(arguments);
  LaunchFlags flags;
  if (!parse(flags, words)) return 0;
  check(flags, words);
  if (!words.behind.empty()) {
    print_warning(
        fmt::format("taken for launch though behind the program's name: {}; what is "
                    "meant for the program goes behind --",
                    fmt::join(words.behind, " ")));
  }
  if (!flags.hostfile.empty()) run_by_mpi(flags, words.program);
  LaunchSpec spec;
  spec.group_size = *flags.processes;
  if (flags.machines > 1) take_share(spec, flags);
  spec.prefix_output = flags.prefix;
  spec.program = words.program[0];
  spec.arguments.assign(words.program.begin() + 1, words.program.end());
  return supervise(spec);
}

}  // namespace trireme
