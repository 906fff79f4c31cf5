#include "cli/row_job.h"

#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "batch/job_watch.h"
#include "batch/output_format.h"
#include "cli/end_table.h"
#include "cli/observation.h"
#include "cli/progress.h"
#include "cli/shell_word.h"
#include "cli/signals.h"
#include "comm/environment.h"
#include "trireme/error.h"

namespace trireme {

namespace {

/// Seconds since the epoch; SOURCE_DATE_EPOCH, as reproducible builds have it, fixes it.
std::int64_t present() {
  using namespace std::chrono;
  if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH")) {
    return std::strtoll(fixed, nullptr, 10);
  }
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

/// Rates over the whole run, for the last line.
ProgressState state_at_end(const RunSummary& s) {
  ProgressState state{.rows = static_cast<std::int64_t>(s.rows),
                      .errors = static_cast<std::int64_t>(s.failed),
                      .prompt_tokens_per_s = s.rate(s.row_stats.prompt_tokens()),
                      .new_tokens_per_s = s.rate(s.row_stats.new_tokens()),
                      .seconds = s.seconds};
  if (s.input_ended) state.total = static_cast<std::int64_t>(s.rows_known);
  return state;
}

/// The job's progress line and messages on standard error.
class Reporter {
 public:
  Reporter(const std::string& verb, bool quiet) : line_(verb, std::nullopt, quiet), quiet_(quiet) {}

  OnBatchProgress progress() {
    return [this](const BatchProgress& p) {
      if (p.rows_resumed > 0 && !told_resumed_ && !quiet_) {
        notice(fmt::format("{} rows are done already; going on from there", p.rows_resumed));
        told_resumed_ = true;
      }
      line_.update([&p] { return p.watch->state(monotonic_ns()); });
    };
  }
  OnBatchNotice notices() {
    return [this](const std::string& text) { notice(text); };
  }
  /// The table, unless that is too much, and a line on how it went.
  void finish(const RunSummary& summary) {
    line_.clear();
    const bool nothing_done = summary.rows == 0 && summary.exit_code != 0;
    if (nothing_done) return;
    if (!quiet_) {
      fmt::print(stderr, "{}", end_table(summary, look_at_terminal(STDERR_FILENO)));
    }
    line_.finish(state_at_end(summary));
  }

 private:
  void notice(const std::string& text) {
    line_.clear();
    fmt::print(stderr, "trireme: {}\n", text);
  }

  Progress line_;
  bool quiet_ = false;
  bool told_resumed_ = false;
};

/// Stops by signal, from the first question on: before, there is nothing to end politely, and a
/// signal does what it always does.
std::function<int()> stops_by_signal() {
  return [signals = std::shared_ptr<StopSignals>()]() mutable {
    if (!signals) signals = std::make_shared<StopSignals>();
    return stop_requests();
  };
}

/// What goes on where this job ends: the same words, but for --restart.
std::string resume_command(const std::vector<std::string>& arguments) {
  std::string command = "trireme";
  for (const std::string& word : arguments) {
    if (word != "--restart") command += " " + shell_quoted(word);
  }
  return command;
}

/// Names between commas.
void split(const std::string& list, std::vector<std::string>& names) {
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
}

/// --listen and --join-key, which go together.
void add_join(CLI::App& app, JoinListen& join) {
  app.add_option("--listen", join.address,
                 "Workers on other hosts may join (`trireme worker --join`): where to listen;\n"
                 "without HOST for this host only, port 0: any (docs/elastic.md)")
      ->type_name("[HOST:]PORT");
  add_join_key(app, join.key_file);
}

void check_join(const BatchJob& job) {
  if (job.join.address.empty()) return;
  if (job.join.key_file.empty()) {
    throw Error(ErrorKind::usage,
                "--listen goes with --join-key FILE: `trireme worker --new-key FILE` makes one");
  }
  if (!rank_place().started) return;
  throw Error(ErrorKind::usage,
              "--listen: under mpirun the ranks are all that there are; run the batch without it");
}

void check(BatchJob& job, const Hosts& hosts, const RowVerb& verb) {
  const ModelFacts facts = check_plan_fits(job.options, hosts, verb.needs);
  print_once(facts.generation_warnings);
  if (verb.settle) verb.settle(job, facts);
}

void add_output_form(CLI::App& app, BatchJob& job) {
  app.add_option("--output-format", job.output_format,
                 "jsonl, csv, tsv, txt or parquet, in place of what the output's name says [auto]")
      ->type_name("NAME");
  app.add_option("--shards", job.shards,
                 "Make the output a folder of N files of equal length, as Spark does")
      ->type_name("N")
      ->check(at_least_one(most_shards));
  const auto keep = [&job](const std::vector<std::string>& lists) {
    std::vector<std::string>& names = job.rows.keep_columns.emplace();
    for (const std::string& list : lists) split(list, names);
    return true;
  };
  app.add_option("--keep-columns", keep,
                 "Each row's own columns go into its answer, too: all, or those named [none]")
      ->type_name("A,B")
      ->expected(0, 1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

void add_row_job(Arguments& arguments, BatchJob& job, const std::string& rows) {
  CLI::App& app = arguments.app();
  app.add_option("-i,--input", job.inputs,
                 rows + ".\nSeveral files, folders of them, '*.jsonl.gz': one after the other")
      ->type_name("FILE");
  app.add_option("-o,--output", job.output,
                 "Answers: JSON Lines, or what the name says (.csv, .tsv, .txt, .parquet; .gz and\n"
                 ".zst behind); - is standard output")
      ->type_name("FILE");
  add_output_form(app, job);
  app.add_option("--input-format", job.reader.format,
                 "auto, jsonl, text, csv, tsv or parquet [auto]")
      ->type_name("NAME");
  app.add_option("--prompt-template", job.rows.prompt_template,
                 "The prompt, with {column} for each row's values ({{ and }} are braces)")
      ->type_name("TEXT");
  app.add_flag("--overwrite", job.overwrite, "Replace a finished output");
  app.add_flag("--restart", job.restart, "Forget what an unfinished run has done");
  app.add_flag("--strict", job.strict, "The first row that fails ends the job");
  add_supervision(app, job.max_restarts, job.stats);
  add_observation(app, job.observe);
  add_join(app, job.join);
  arguments.add_exit_code(3, "done, but some rows are error rows");
  arguments.add_exit_code(5, "stopped: the same command resumes");
}

void add_supervision(CLI::App& app, int& max_restarts, bool& stats) {
  app.add_option("--max-restarts", max_restarts,
                 "How often a replica that ends is started again without any row answered in\n"
                 "between [3]")
      ->type_name("N")
      ->check(CLI::Range(0, 1000000));
  app.add_option_function<int>(
         "--peer-timeout",
         [](const int seconds) {
           setenv(peer_timeout_variable, std::to_string(seconds).c_str(), 1);
         },
         "Seconds after which a rank or host without a sign of life is given up [10]")
      ->type_name("SECONDS")
      ->check(CLI::Range(least_peer_timeout, most_peer_timeout));
  app.add_flag("--stats", stats, "Print what every rank held and did, as JSON, on stderr");
}

CLI::Option* add_join_key(CLI::App& app, std::string& file) {
  return app
      .add_option("--join-key", file,
                  "The key that batch and workers share: a file that only you can read\n"
                  "(`trireme worker --new-key FILE`; or TRIREME_JOIN_KEY_FILE)")
      ->type_name("FILE")
      ->envname("TRIREME_JOIN_KEY_FILE");
}

void add_truncation(CLI::App& app, std::optional<bool>& truncate, bool cuts) {
  CLI::Option* const yes = app.add_flag_callback(
      "--truncate", [&truncate] { truncate = true; },
      fmt::format("Cut texts that are too long for the model{}", cuts ? " [so]" : ""));
  CLI::Option* const no = app.add_flag_callback(
      "--no-truncate", [&truncate] { truncate = false; },
      fmt::format("They are errors{}", cuts ? "" : " [so]"));
  yes->excludes(no);
}

void refuse_row_flags(CLI::App& app, const std::vector<std::string>& more) {
  std::vector<std::string> flags{
      "--output",          "--output-format", "--shards",  "--keep-columns", "--input-format",
      "--prompt-template", "--overwrite",     "--restart", "--stats",        "--report",
      "--trace",           "--metrics",       "--quiet",   "--listen"};
  flags.insert(flags.end(), more.begin(), more.end());
  for (const std::string& flag : flags) {
    if (app.count(flag) == 0) continue;
    throw Error(ErrorKind::usage, fmt::format("{}: goes with -i FILE, a file of rows", flag));
  }
}

void refuse_beside_choices(CLI::App& app) {
  for (const char* flag : {"--max-new-tokens", "--temperature", "--top-p", "--min-p",
                           "--repetition-penalty", "--stop", "--ignore-eos"}) {
    if (app.count(flag) == 0) continue;
    throw Error(ErrorKind::usage,
                fmt::format("{}: says how tokens are chosen, but with --choices the answer is the "
                            "likeliest label; leave it out",
                            flag));
  }
}

int run_row_job(BatchJob job, const RowVerb& verb, const std::vector<std::string>& arguments) {
  place_devices(job.options);
  job.now = present();
  ::signal(SIGXFSZ, SIG_IGN);  // a file grown too large is an error of write(2)
  // One process decides when the job stops: the launcher, or rank 0.
  if (is_launched_batch_rank() || rank_place().rank > 0) ignore_stop_signals();
  if (is_launched_batch_rank()) return serve_batch_in_launched_rank(job);
  check_join(job);
  job.join.peer_timeout = peer_timeout();
  job.stop_requests = stops_by_signal();
  job.resume_command = resume_command(arguments);
  job.observe.command = job.resume_command;
  Reporter reporter(verb.needs.verb, job.observe.quiet);
  const auto run = [&] {
    if (rank_place().started) {
      job.check = [&verb](BatchJob& agreed, const Hosts& hosts) { check(agreed, hosts, verb); };
      return run_batch_in_ranks(job, reporter.progress(), reporter.notices());
    }
    needs_ranks(job.options);  // or refuses more than there can be
    check(job, {}, verb);
    return launch_batch(job, arguments, reporter.progress(), reporter.notices());
  };
  const BatchOutcome outcome = run();
  if (outcome.coordinated) reporter.finish(*outcome.summary);
  return outcome.exit_code;
}

}  // namespace trireme
