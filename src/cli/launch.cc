// `trireme launch`: the ranks of a program written on the library.
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/verbs.h"
#include "launch/supervise.h"
#include "trireme/error.h"

namespace trireme {

namespace {

/// Splits at "--"; what follows is the program's.
std::vector<std::string> take_program(std::vector<std::string>& arguments) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] != "--") continue;
    const auto separator = arguments.begin() + static_cast<std::ptrdiff_t>(i);
    std::vector<std::string> program(separator + 1, arguments.end());
    arguments.erase(separator, arguments.end());
    return program;
  }
  return {};
}

}  // namespace

int launch_main(int argc, char** argv) {
  std::vector<std::string> arguments{argv, argv + argc};
  std::vector<std::string> program = take_program(arguments);
  LaunchSpec spec;
  Arguments flags(
      "launch",
      "Starts ranks of a program that is written on the library (include/trireme/), on this host.\n"
      "When one fails the others are ended; its exit code becomes this one's.",
      {"trireme launch -n 4 -- ./my_program --tensor-parallel 4",
       "trireme launch -n 2 --prefix -- python3 my_script.py"});
  flags.set_usage("trireme launch -n N [--prefix] -- PROGRAM [ARGUMENTS]");
  CLI::App& app = flags.app();
  app.add_option("-n,--ranks", spec.group_size, "How many")
      ->type_name("N")
      ->required()
      ->check(at_least_one(most_ranks));
  app.add_flag("--prefix", spec.prefix_output, "Begin each line of a rank's output with [rank R]");
  flags.set_argument_hint("name the program after --, as in `trireme launch -n 4 -- ./my_program`");
  flags.add_exit_code(0, "all ranks exited with 0");
  flags.add_exit_code(1, "the program cannot be started, or a signal ended a rank");
  flags.add_exit_code(2, "wrong usage of a flag");
  flags.add_exit_code(4, "not enough resources to start the ranks");
  flags.add_exit_code(5, "a rank hung; else what the first rank that failed exited with");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (!flags.parse(static_cast<int>(pointers.size()), pointers.data())) return 0;
  if (program.empty()) {
    throw Error(ErrorKind::usage,
                "name a program after --, as in `trireme launch -n 4 -- ./my_program`");
  }
  spec.program = program[0];
  spec.arguments.assign(program.begin() + 1, program.end());
  return supervise(spec);
}

}  // namespace trireme
