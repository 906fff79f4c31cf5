// `trireme translate`: what an encoder-decoder model answers to texts, with the words before each
// that tell it what to do.
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "cli/arguments.h"
#include "cli/one_text.h"
#include "cli/output.h"
#include "cli/row_job.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

constexpr std::int64_t default_new_tokens = 256;
constexpr int interrupted = 128;  // plus the signal's number, as shells have it

struct TranslateSettings {
  BatchJob job;
  std::optional<std::string> text;
  bool has_rows = false;
  std::string task;
  std::string source_language;
  std::string target_language;
};

bool parse(TranslateSettings& settings, int argc, char** argv) {
  BatchJob& job = settings.job;
  job.rows.task = RowTask::translate;
  Arguments arguments(
      "translate",
      "Gives a model that reads a text and writes another (T5) texts to answer: translations,\n"
      "summaries, whatever it was trained for. Of a file, every row once and in order; the bytes "
      "do\nnot depend on the plan.",
      {"trireme translate --model DIR --task translation_en_to_de \"The house is small.\"",
       "trireme translate --model DIR --source-lang English --target-lang French \\\n"
       "    -i texts.jsonl -o french.jsonl",
       "trireme translate --model DIR --task-prefix \"summarize: \" -i news.csv -o short.jsonl"});
  CLI::App& app = arguments.app();
  app.add_option("text", settings.text, "One text, answered here [standard input]")
      ->type_name("TEXT");
  app.add_option("--task", settings.task,
                 "A task of the model's config.json (task_specific_params): its prefix, its length")
      ->type_name("NAME");
  app.add_option("--task-prefix", job.rows.prefix, "Goes before each text")->type_name("TEXT");
  app.add_option("--source-lang", settings.source_language,
                 "With --target-lang: the prefix \"translate English to German: \"")
      ->type_name("NAME");
  app.add_option("--target-lang", settings.target_language, "The language to translate into")
      ->type_name("NAME");
  add_row_job(
      arguments, job,
      "Rows: JSON Lines ({\"text\"} or {\"prompt\"}, with sampling parameters), plain text,\n"
      "CSV or TSV; - is standard input");
  add_truncation(app, job.rows.truncate, false);
  arguments.add_sampling(job.rows.sampling);
  arguments.add_model(job.options, &job.rows.sampling.seed);
  app.get_option("--model")->required();
  arguments.add_plan(job.options);
  arguments.add_machine(job.options);
  arguments.add_exit_code(130, "interrupted with Ctrl-C, with one text (143: ended by SIGTERM)");
  if (!arguments.parse(argc, argv)) return false;
  settings.has_rows = app.count("--input") > 0;
  if (!settings.has_rows) refuse_row_flags(app, {});
  if (settings.has_rows && settings.text) {
    throw Error(ErrorKind::usage, "give one text, or -i and a file of them, not both");
  }
  const bool languages = !settings.source_language.empty() || !settings.target_language.empty();
  if (languages && (settings.source_language.empty() || settings.target_language.empty())) {
    throw Error(ErrorKind::usage, "--source-lang and --target-lang go together");
  }
  if (int{languages} + int{!settings.task.empty()} + int{app.count("--task-prefix") > 0} > 1) {
    throw Error(ErrorKind::usage,
                "--task, --task-prefix and --source-lang with --target-lang each say what goes "
                "before a text; give one of them");
  }
  return true;
}

const ModelTask* find(const std::vector<ModelTask>& tasks, const std::string& name) {
  const auto found = std::ranges::find(tasks, name, &ModelTask::name);
  return found == tasks.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<ModelTask>& tasks) {
  std::string names;
  for (const ModelTask& task : tasks) names += (names.empty() ? "" : ", ") + task.name;
  return names.empty() ? "none" : names;
}

/// "en": not a word that a model has seen in a prefix.
bool is_code(const std::string& language) { return language.size() == 2; }

/// The task that the flags name, if any; else the prefix that they mean is set. Throws
/// Error(usage).
const ModelTask* choose(const TranslateSettings& settings, const std::vector<ModelTask>& tasks,
                        std::string& prefix) {
  const std::string& source = settings.source_language;
  const std::string& target = settings.target_language;
  if (!settings.task.empty()) {
    const ModelTask* const task = find(tasks, settings.task);
    if (task != nullptr) return task;
    throw Error(ErrorKind::usage,
                fmt::format("--task {}: config.json names no such task (task_specific_params: {}); "
                            "say what goes before each text with --task-prefix",
                            settings.task, names_of(tasks)));
  }
  if (source.empty()) return nullptr;
  const ModelTask* const task = find(tasks, fmt::format("translation_{}_to_{}", source, target));
  if (task == nullptr && (is_code(source) || is_code(target))) {
    throw Error(ErrorKind::usage,
                fmt::format("--source-lang {} --target-lang {}: config.json has no task "
                            "translation_{}_to_{} (task_specific_params: {}); write the languages "
                            "as the model knows them, such as English and German",
                            source, target, source, target, names_of(tasks)));
  }
  if (task == nullptr) prefix = fmt::format("translate {} to {}: ", source, target);
  return task;
}

/// Settles prefix and length, which depend on the model.
void settle(const TranslateSettings& settings, const Options& options, const ModelFacts& facts,
            RowSettings& rows) {
  const std::vector<ModelTask> tasks = model_tasks(options);
  const ModelTask* const task = choose(settings, tasks, rows.prefix);
  std::optional<std::int64_t>& length = rows.sampling.max_new_tokens;
  if (task != nullptr) {
    rows.prefix = task->prefix;
    if (!task->warning.empty()) print_warning(task->warning);
    if (!length && task->max_length) length = std::max<std::int64_t>(1, *task->max_length - 1);
  }
  if (!length && !facts.says_how_long) length = default_new_tokens;
}

int answer_one(Engine& engine, const TranslateSettings& settings) {
  const RowSettings& rows = settings.job.rows;
  Request request;
  request.prompt = rows.prefix + text_or_standard_input(settings.text);
  request.truncate = rows.truncate;
  request.sampling = rows.sampling;
  const StopSignals signals;
  Output out("-");
  engine.submit(0, request, [&](std::string_view piece) {
    out.write(piece);
    out.flush();
  });
  std::vector<Engine::Finished> finished;
  while (finished.empty() && !stop_requested()) finished = engine.step();
  if (finished.empty() || !finished[0].result.error) out.write("\n");
  out.flush();
  if (finished.empty()) return interrupted + stop_signal();
  const std::optional<RequestError>& error = finished[0].result.error;
  if (error) print_error(error->message);
  return error ? exit_code(ErrorKind::input) : 0;
}

}  // namespace

int translate_main(int argc, char** argv) {
  TranslateSettings settings;
  if (!parse(settings, argc, argv)) return 0;
  const std::vector<std::string> arguments = as_strings(argc, argv);
  const VerbNeeds needs{"translate", {ModelKind::encoder_decoder}};
  if (settings.has_rows) {
    const RowVerb verb{needs, [&settings](BatchJob& job, const ModelFacts& facts) {
                         settle(settings, job.options, facts, job.rows);
                       }};
    return run_row_job(settings.job, verb, arguments);
  }
  RowSettings& rows = settings.job.rows;
  const auto settle_one = [&](const Options& options, const ModelFacts& facts) {
    settle(settings, options, facts, rows);
  };
  const auto drive = [&](Engine& engine) { return answer_one(engine, settings); };
  return answer_one_text(settings.job.options, {needs, settle_one, drive}, arguments);
}

}  // namespace trireme
