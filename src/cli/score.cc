// `trireme score`: the log-probability of every token of given texts.
#include <fmt/core.h>
#include <signal.h>

#include <filesystem>
#include <optional>
#include <string>

#include "batch/row_source.h"
#include "cli/arguments.h"
#include "cli/input_copy.h"
#include "cli/logits_file.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/score_job.h"
#include "cli/verbs.h"
#include "trireme/engine.h"
#include "trireme/ranks.h"

namespace trireme {

namespace {

bool parse(ScoreSettings& settings, int argc, char** argv) {
  Arguments arguments(
      "score",
      "Scores texts: for each row the token ids, the log-probability of every token after the\n"
      "first (natural logarithm), and their sum, as JSON Lines in input order.",
      {"trireme score --model demo/llama -i texts.jsonl -o scores.jsonl",
       "printf 'To be or not to be\\n' | trireme score -m demo/llama -i -",
       "trireme score -m demo/gpt2 -tp 2 --ids -i ids.jsonl -o out.jsonl --logits "
       "out.safetensors"});
  CLI::App& app = arguments.app();
  const char* group = "Rows";
  app.add_option("-i,--input", settings.input,
                 "JSON Lines with \"text\" or \"prompt\" (and \"id\"), a text a line, CSV or "
                 "TSV;\n-: standard "
                 "input")
      ->type_name("FILE")
      ->group(group)
      ->required();
  app.add_option("-o,--output", settings.output, "Where the scores go; -: standard output")
      ->type_name("FILE")
      ->group(group)
      ->capture_default_str();
  app.add_option("--input-format", settings.input_format, "auto, jsonl, text, csv or tsv")
      ->type_name("FORMAT")
      ->group(group)
      ->capture_default_str();
  app.add_option("--prompt-template", settings.prompt_template,
                 "The text, with {column} for each row's values ({{ and }} are braces)")
      ->type_name("TEXT")
      ->group(group);
  app.add_flag("--ids", settings.token_ids,
               "Rows are token ids: [1, 2] or {\"token_ids\": [1, 2]} or 1 2")
      ->group(group);
  app.add_option("--logits", settings.logits,
                 "Also write a safetensors file: logits.N [tokens, vocabulary] and ids.N of row N\n"
                 "(counted from 0). Reads the input twice")
      ->type_name("FILE")
      ->group(group);
  arguments.add_model(settings.options);
  app.get_option("--model")->required();
  arguments.add_plan(settings.options);
  arguments.add_machine(settings.options);
  arguments.add_exit_code(3, "done, some rows failed: each has an \"error\" in the output");
  arguments.add_exit_code(5, "stopped: a rank died or hung");
  return arguments.parse(argc, argv);
}

void refuse_to_replace(const std::string& file, const char* flag, const std::string& input) {
  std::error_code ignored;
  if (file.empty() || !std::filesystem::equivalent(file, input, ignored) ||
      !std::filesystem::is_regular_file(file, ignored)) {
    return;
  }
  throw Error(ErrorKind::usage,
              fmt::format("{} {}: this is the input; choose another file", flag, file));
}

/// What would otherwise go wrong only after the model is loaded.
void check_files(const ScoreSettings& settings, const std::string& input) {
  if (!read_only_once(input)) open_rows(input, settings.input_format);
  refuse_to_replace(settings.output, "-o", input);
  refuse_to_replace(settings.logits, "--logits", input);
  if (settings.output != "-") Output probe(settings.output);
  if (settings.logits.empty()) return;
  if (settings.logits == settings.output) {
    throw Error(
        ErrorKind::usage,
        fmt::format("--logits {}: is the --output, too; name another file", settings.logits));
  }
  LogitsFile probe(settings.logits);
}

const VerbNeeds needs{"score", {ModelKind::decoder}};

int score_on_ranks(const ScoreSettings& settings, int argc, char** argv) {
  check_plan_fits(settings.options, {}, needs);
  check_files(settings, settings.input);
  return run_on_ranks(settings.options, {.arguments = as_strings(argc, argv),
                                         .share_input = settings.input == "-",
                                         .patient = settings.output == "-"});
}

}  // namespace

int score_main(int argc, char** argv) {
  ScoreSettings settings;
  if (!parse(settings, argc, argv)) return 0;
  ::signal(SIGXFSZ, SIG_IGN);  // a file grown too large is an error of write(2)
  place_devices(settings.options);
  if (needs_ranks(settings.options)) return score_on_ranks(settings, argc, argv);
  std::string input = input_path(settings.input, settings.options);
  Ranks ranks(settings.options, [&](const Options& options, const Hosts& hosts) {
    check_plan_fits(options, hosts, needs);
    check_files(settings, input);
  });
  std::optional<Descriptor> copy;
  if (!settings.logits.empty() && rank_place().rank == 0 && read_only_once(input)) {
    copy.emplace(copy_of_input(input));
    input = path_of_descriptor(copy->get());
  }
  Engine engine(std::move(ranks));
  return score_rows(engine, settings, input);
}

}  // namespace trireme
