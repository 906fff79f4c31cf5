// The program: finds the verb, runs it, and turns what goes wrong into a message and an exit code.
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "core/suggest.h"
#include "trireme/engine.h"
#include "trireme/ranks.h"

namespace trireme {

namespace {

struct Verb {
  const char* name;
  const char* summary;
  int (*main)(int argc, char** argv);
};

/// One line per verb, in the order of the help.
constexpr Verb verbs[] = {
    {"run", "continue one prompt, streamed to the terminal", run_main},
    {"batch", "a file of rows through a model, each answered once, in order", batch_main},
    {"worker", "joins a batch that runs on another host", worker_main},
    {"score", "the log-probability of every token of given texts", score_main},
    {"embed", "a vector for each text", embed_main},
    {"classify", "scores for a classifier's labels", classify_main},
    {"fill-mask", "the likeliest tokens where a text has a mask", fill_mask_main},
    {"translate", "answers of a model that reads a text and writes another (T5)", translate_main},
    {"plan", "dry run: which rank holds what, does it fit, how fast", plan_main},
    {"launch", "start the ranks of a program written on the library", launch_main},
    {"config", "write a file of settings, by questions and answers", config_main},
    {"env", "versions, machine and settings, to copy into a report", env_main},
    {"test", "checks this installation over several ranks", test_main},
    {"estimate-memory", "what a model takes in each precision", estimate_memory_main},
    {"doctor", "what this machine has, and what to do about what is missing", doctor_main},
    {"bench", "tokens per second, beside what the machine can do at most", bench_main},
};

std::string help() {
  std::string text =
      "Trireme runs Hugging Face models over data, tensor and pipeline parallel ranks: the same\n"
      "bytes come out whatever the plan.\n\nUsage: trireme VERB [OPTIONS]\n\nVerbs:\n";
  for (const Verb& verb : verbs) text += fmt::format("  {:<15} {}\n", verb.name, verb.summary);
  return text +
         "\n`trireme help VERB` (or `trireme VERB --help`) says more; `trireme --version`.\n"
         "\nExamples:\n"
         "  trireme run --model demo/llama \"ROMEO:\"\n"
         "  trireme plan --model demo/llama -tp 2 -pp 2\n"
         "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some rows failed, 4 not "
         "enough\n"
         "resources, 5 stopped and resumable.\n";
}

const Verb& find_verb(const std::string& name) {
  for (const Verb& verb : verbs) {
    if (name == verb.name) return verb;
  }
  std::vector<std::string> names{"help"};
  for (const Verb& verb : verbs) names.emplace_back(verb.name);
  const bool flag = name.starts_with("-");
  throw Error(ErrorKind::usage,
              flag
                  ? fmt::format("{}: name a verb first, as in `trireme run {} ...`; `trireme help` "
                                "lists them",
                                name, name)
                  : fmt::format("unknown verb '{}'{}; `trireme help` lists them", name,
                                did_you_mean(name, names)));
}

int run_verb(const Verb& verb, std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  return verb.main(static_cast<int>(arguments.size()), pointers.data());
}

int dispatch(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    print_error("name a verb, as in `trireme run --model DIR \"prompt\"`");
    return exit_code(ErrorKind::usage);
  }
  const std::string first = arguments[0];
  if (first == "--version" || first == "-V") {
    print_out(fmt::format("trireme {}\n", version()));
    return 0;
  }
  if (first == "--help" || first == "-h" || (first == "help" && arguments.size() == 1)) {
    print_out(help());
    return 0;
  }
  if (first == "help") return run_verb(find_verb(arguments[1]), {arguments[1], "--help"});
  return run_verb(find_verb(first), std::move(arguments));
}

RankPlace place_or_alone() {
  try {
    return rank_place();
  } catch (const std::exception&) {  // the environment contradicts itself: that is the message
    return {};
  }
}

/// Says which rank speaks.
void print_failure(const std::string& message) {
  const RankPlace place = place_or_alone();
  print_error(place.started && place.ranks != 1 ? fmt::format("rank {}: {}", place.rank, message)
                                                : message);
}

/// Ranks find a wrong flag alike, so that it is enough when the first one says so. mpirun ends the
/// others when it exits; who is still there then has a wrong flag of its own.
void print_wrong_usage(const std::string& message) {
  const RankPlace place = place_or_alone();
  if (place.rank > 0 && place.transport == "shm") return;
  if (place.rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  print_failure(message);
}

/// What every rank of the run throws. The first one says it; mpirun would end it before it has, if
/// another one exited with an error.
int end_together(const CommonError& error) {
  const RankPlace place = place_or_alone();
  if (place.rank == 0) print_error(error.what());
  return place.rank > 0 && place.transport == "mpi" ? 0 : exit_code(error.kind());
}

/// Ranks of the embedded launcher need not all say which of them died.
bool told_by_launcher(const Error& error) {
  return error.kind() == ErrorKind::peer_lost && rank_place().transport == "shm";
}

int guarded(std::vector<std::string> arguments) {
  try {
    return dispatch(std::move(arguments));
  } catch (const CommonError& error) {
    return end_together(error);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::usage) {
      print_wrong_usage(error.what());
    } else if (!told_by_launcher(error)) {
      print_failure(error.what());
    }
    return exit_code(error.kind());
  } catch (const OutputClosed&) {
    return 1;
  } catch (const std::bad_alloc&) {
    print_failure("out of memory; `trireme plan` tells what a plan needs");
    return exit_code(ErrorKind::resource);
  } catch (const std::exception& error) {
    print_failure(error.what());
    return 1;
  }
}

}  // namespace

}  // namespace trireme

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of write(2)
  return trireme::guarded({argv + std::min(argc, 1), argv + argc});
}
