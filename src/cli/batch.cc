// `trireme batch`: the main job, a file of rows in and a file of answers out.
#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>

#include "batch/job.h"
#include "cli/arguments.h"
#include "cli/progress.h"
#include "cli/ranks.h"
#include "cli/signals.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "trireme/ranks.h"

namespace trireme {

namespace {

bool parse(BatchJob& job, int argc, char** argv) {
  Arguments arguments(
      "batch",
      "Answers every row of a file, once each and in order. The output's bytes do not depend on "
      "the\n"
      "plan. Killed at any point, the same command goes on where it stopped.",
      {"trireme batch --model demo/llama -i demo/prompts.jsonl -o out.jsonl -dp 2",
       "trireme batch -m demo/llama -i questions.csv -o out.jsonl --chat \\\n"
       "    --prompt-template \"Classify {question} as one of {labels}\" --max-new-tokens 10",
       "mpirun -n 4 trireme batch -m DIR -i rows.jsonl -o out.jsonl -tp 2 -pp 2"});
  CLI::App& app = arguments.app();
  app.add_option("-i,--input", job.input,
                 "Rows: JSON Lines ({\"prompt\"} or {\"messages\"}, OpenAI batch rows too), plain\n"
                 "text, CSV or TSV; - is standard input")
      ->type_name("FILE")
      ->required();
  app.add_option("-o,--output", job.output, "Answers as JSON Lines; - is standard output")
      ->type_name("FILE")
      ->required();
  app.add_option("--input-format", job.reader.format, "auto, jsonl, text, csv or tsv [auto]")
      ->type_name("NAME");
  app.add_option("--prompt-template", job.rows.prompt_template,
                 "The prompt, with {column} for each row's values ({{ and }} are braces)")
      ->type_name("TEXT");
  app.add_flag("--chat", job.rows.chat,
               "Prompts are users' messages: apply the model's chat template");
  app.add_flag("--overwrite", job.overwrite, "Replace a finished output");
  app.add_flag("--restart", job.restart, "Forget what an unfinished run has done");
  app.add_flag("--stats", job.stats, "Print what every rank held and did, as JSON, on stderr");
  arguments.add_sampling(job.rows.sampling);
  arguments.add_model(job.options, &job.rows.sampling.seed);
  app.get_option("--model")->required();
  arguments.add_plan(job.options);
  arguments.add_machine(job.options);
  arguments.add_exit_code(3, "done, but some rows are error rows");
  arguments.add_exit_code(5, "stopped: the same command resumes");
  return arguments.parse(argc, argv);
}

/// Seconds since the epoch; SOURCE_DATE_EPOCH, as reproducible builds have it, fixes it.
std::int64_t present() {
  using namespace std::chrono;
  if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH")) {
    return std::strtoll(fixed, nullptr, 10);
  }
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

/// The job's progress line and messages on standard error.
class Reporter {
 public:
  OnBatchProgress progress() {
    return [this](const BatchProgress& p) {
      if (p.rows_resumed > 0 && !told_resumed_) {
        notice(fmt::format("{} rows are done already; going on from there", p.rows_resumed));
        told_resumed_ = true;
      }
      if (p.input_ended) line_.set_total(static_cast<std::int64_t>(p.rows_known));
      line_.update(static_cast<std::int64_t>(p.rows_done), static_cast<std::int64_t>(p.rows_failed),
                   static_cast<std::int64_t>(p.prompt_tokens),
                   static_cast<std::int64_t>(p.new_tokens));
    };
  }
  OnBatchNotice notices() {
    return [this](const std::string& text) { notice(text); };
  }
  void finish() { line_.finish(); }

 private:
  void notice(const std::string& text) {
    line_.clear();
    fmt::print(stderr, "trireme: {}\n", text);
  }

  Progress line_{"batch"};
  bool told_resumed_ = false;
};

/// A stop by signal, from the first question on: before, there is nothing to end politely, and a
/// signal does what it always does.
std::function<bool()> stop_by_signal() {
  return [signals = std::shared_ptr<StopSignals>()]() mutable {
    if (!signals) signals = std::make_shared<StopSignals>();
    return stop_requested();
  };
}

}  // namespace

int batch_main(int argc, char** argv) {
  BatchJob job;
  job.now = present();
  if (!parse(job, argc, argv)) return 0;
  place_devices(job.options);
  ::signal(SIGXFSZ, SIG_IGN);  // a file grown too large is an error of write(2)
  // One process decides when the job stops: the launcher, or rank 0.
  if (is_launched_batch_rank() || rank_place().rank > 0) ignore_stop_signals();
  if (is_launched_batch_rank()) return serve_batch_in_launched_rank(job);
  job.should_stop = stop_by_signal();
  Reporter reporter;
  const auto check = [](const Options& options, const Hosts& hosts) {
    print_once(check_plan_fits(options, hosts).generation_warnings);
  };
  const auto run = [&] {
    if (!needs_ranks(job.options)) {
      job.check = check;
      return run_batch_in_ranks(job, reporter.progress(), reporter.notices());
    }
    check(job.options, {});
    return launch_batch(job, as_strings(argc, argv), reporter.progress(), reporter.notices());
  };
  const BatchOutcome outcome = run();
  if (outcome.coordinated) reporter.finish();
  return outcome.exit_code;
}

}  // namespace trireme
