#include "cli/one_text.h"

#include <fmt/core.h>
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "cli/signals.h"
#include "trireme/error.h"

namespace trireme {

std::string text_or_standard_input(const std::optional<std::string>& given) {
  if (given) return *given;
  if (isatty(STDIN_FILENO) != 0) {
    throw Error(ErrorKind::usage, "give a text, or a file of them with -i");
  }
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  // `echo` and editors end a text with a line end that is not meant.
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

int answer_one_text(Options options, const OneText& work,
                    const std::vector<std::string>& arguments) {
  place_devices(options);
  if (options.data_parallel_size > 1) {
    throw Error(ErrorKind::usage,
                fmt::format("--data-parallel-size: one text, which one replica answers; use -tp or "
                            "-pp, or `trireme {} -i FILE` for many texts",
                            work.needs.verb));
  }
  if (needs_ranks(options)) {
    print_once(check_plan_fits(options, {}, work.needs).generation_warnings);
    return run_on_ranks(options, {.arguments = arguments, .patient = true});
  }
  Ranks ranks(options, [&](const Options& agreed, const Hosts& hosts) {
    const ModelFacts facts = check_plan_fits(agreed, hosts, work.needs);
    print_once(facts.generation_warnings);
    if (work.settle) work.settle(agreed, facts);
  });
  Engine engine(std::move(ranks));
  if (engine.is_driver()) {
    engine.prepare();
    return work.drive(engine);
  }
  ignore_stop_signals();
  engine.follow();
  return 0;
}

}  // namespace trireme
