// `trireme embed`, `classify`, `fill-mask`: what encoders make of texts, of a file's rows or of
// one.
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <numeric>
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

constexpr std::int64_t default_candidates = 5;
constexpr std::int64_t most_candidates = 1000;  // of each mask: lines stay of a bearable length
constexpr int interrupted = 128;                // plus the signal's number, as shells have it

/// One of these verbs.
struct TextVerb {
  RowTask task;
  ModelKind kind;
  const char* summary;
  std::vector<std::string> examples;
  const char* top_k_help;  ///< of --top-k, if the verb has it
};

struct TextSettings {
  BatchJob job;
  std::optional<std::string> text;
  std::optional<std::string> text_pair;
  std::string prompt_name;
  bool has_rows = false;

  Request request() const {
    Request request;
    request.prompt = job.rows.prefix + text_or_standard_input(text);
    request.text_pair = text_pair;
    request.truncate = job.rows.truncate;
    return request;
  }
};

const TextVerb& verb_of(RowTask task) {
  static const TextVerb embed{
      RowTask::embed,
      ModelKind::sentence,
      "Makes a vector of each text, pooled and normalised as the model's sentence-transformers\n"
      "files say. Of a file, every row once and in order; the bytes do not depend on the plan.",
      {"trireme embed --model DIR -i texts.jsonl -o vectors.jsonl -dp 2",
       "trireme embed --model DIR \"So foul and fair a day I have not seen.\""},
      nullptr};
  static const TextVerb classify{
      RowTask::classify,
      ModelKind::classifier,
      "Scores each text, or pair of texts, for the model's labels. Of a file, every row once and "
      "in\norder; the bytes do not depend on the plan.",
      {"trireme classify --model DIR -i reviews.jsonl -o labels.jsonl",
       "trireme classify --model DIR -i pairs.csv -o labels.jsonl \\\n"
       "    --prompt-template \"{premise}\" --pair-template \"{hypothesis}\"",
       "trireme classify --model DIR \"I loved it.\""},
      "List the N best labels [all]"};
  static const TextVerb fill_mask{
      RowTask::fill_mask,
      ModelKind::masked_lm,
      "Finds the likeliest tokens for each mask in a text. Of a file, every row once and in "
      "order;\nthe bytes do not depend on the plan.",
      {"trireme fill-mask --model DIR -i texts.jsonl -o tokens.jsonl",
       "trireme fill-mask --model DIR \"To be or not to [MASK].\""},
      "List the N likeliest tokens of each mask [5]"};
  return task == RowTask::embed ? embed : task == RowTask::classify ? classify : fill_mask;
}

void add_texts(CLI::App& app, TextSettings& settings, const TextVerb& verb) {
  RowSettings& rows = settings.job.rows;
  app.add_option("text", settings.text, "One text, answered here [standard input]")
      ->type_name("TEXT");
  app.add_option("--text-pair", settings.text_pair, "A second text, beside the one")
      ->type_name("TEXT");
  app.add_option("--pair-template", rows.pair_template,
                 "The second text of a pair, in the same way [the column text_pair]")
      ->type_name("TEXT");
  if (verb.task == RowTask::embed) {
    app.add_option("--prompt-name", settings.prompt_name,
                   "Which of the model's prompts (config_sentence_transformers.json) goes before\n"
                   "each text [the model's default, usually none]")
        ->type_name("NAME");
  }
  add_truncation(app, rows.truncate, verb.task == RowTask::embed);
  if (verb.top_k_help == nullptr) return;
  const std::int64_t most =
      verb.task == RowTask::fill_mask ? most_candidates : std::int64_t{1} << 30;
  app.add_option("--top-k", rows.top_k, verb.top_k_help)->type_name("N")->check(at_least_one(most));
}

bool parse(TextSettings& settings, const TextVerb& verb, int argc, char** argv) {
  BatchJob& job = settings.job;
  job.rows.task = verb.task;
  Arguments arguments(std::string(name_of(verb.task)), verb.summary, verb.examples);
  CLI::App& app = arguments.app();
  add_texts(app, settings, verb);
  add_row_job(
      arguments, job,
      verb.task == RowTask::embed
          ? "Rows: JSON Lines ({\"text\"} or {\"token_ids\"}, OpenAI's /v1/embeddings too),\n"
            "plain text, CSV or TSV; - is standard input"
          : "Rows: JSON Lines ({\"text\", \"text_pair\"} or {\"token_ids\"}), plain text, CSV\n"
            "or TSV; - is standard input");
  arguments.add_model(job.options);
  app.get_option("--model")->required();
  arguments.add_plan(job.options);
  arguments.add_machine(job.options, false);
  arguments.add_exit_code(130, "interrupted with Ctrl-C, with one text (143: ended by SIGTERM)");
  if (!arguments.parse(argc, argv)) return false;
  settings.has_rows = app.count("--input") > 0;
  if (!settings.has_rows) {
    refuse_row_flags(app, {"--pair-template"});
  } else if (settings.text || settings.text_pair) {
    throw Error(ErrorKind::usage, "give one text, or -i and a file of them, not both");
  }
  return true;
}

std::string vector_text(const Embedding& embedding) {
  std::string text;
  for (const float value : embedding.values) {
    text += fmt::format("{}{}", text.empty() ? "[" : ",", value);
  }
  return text + "]\n";
}

/// The best first.
std::string labels_text(const Classification& result, const std::vector<std::string>& labels,
                        std::int64_t top_k) {
  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return result.logits[i]; });
  if (top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(top_k)));
  std::string text;
  for (const std::size_t i : order)
    text += fmt::format("{:.4f}  {}\n", result.scores[i], labels[i]);
  return text;
}

/// Each mask's candidates, with an empty line between masks.
std::string candidates_text(const MaskFill& fill) {
  std::string text;
  for (const auto& candidates : fill.masks) {
    if (!text.empty()) text += "\n";
    for (const MaskFill::Candidate& candidate : candidates) {
      text += fmt::format("{:.4f}  {}\n", candidate.probability, candidate.token);
    }
  }
  return text;
}

/// Settles what goes before each text, as sentence-transformers' encode() has it.
void choose_prompt(const TextSettings& settings, const Options& options, RowSettings& rows) {
  if (rows.task != RowTask::embed) return;
  std::string names;
  for (const ModelTask& prompt : model_tasks(options)) {
    const std::string& wanted = settings.prompt_name;
    if (wanted.empty() ? prompt.by_default : prompt.name == wanted) {
      rows.prefix = prompt.prefix;
      return;
    }
    names += (names.empty() ? "" : ", ") + prompt.name;
  }
  if (settings.prompt_name.empty()) return;
  throw Error(ErrorKind::usage, fmt::format("--prompt-name {}: the model has no such prompt "
                                            "(config_sentence_transformers.json: {})",
                                            settings.prompt_name, names.empty() ? "none" : names));
}

/// Steps until something has finished, or a signal came: then nothing.
template <typename Step>
auto wait_for(const Step& step) {
  const StopSignals signals;
  auto finished = step();
  while (finished.empty() && !stop_requested()) finished = step();
  return finished;
}

/// Prints what `text` makes of an answer, or what is wrong. Returns the exit code.
template <typename Answer, typename Text>
int print(const Answer& answer, const Text& text) {
  if (answer.error) {
    print_error(answer.error->message);
    return exit_code(ErrorKind::input);
  }
  if (answer.truncated) {
    print_warning(fmt::format("the text was cut: {} tokens were read", answer.prompt_tokens));
  }
  print_out(text(answer));
  return 0;
}

int embed_one(Engine& engine, const Request& request) {
  engine.submit_embedding(0, request);
  const auto finished = wait_for([&] { return engine.step_embeddings(); });
  if (finished.empty()) return interrupted + stop_signal();
  return print(finished[0].embedding, vector_text);
}

int classify_one(Engine& engine, const Request& request, std::int64_t top_k) {
  engine.submit_classification(0, request);
  const auto finished = wait_for([&] { return engine.step_classifications(); });
  if (finished.empty()) return interrupted + stop_signal();
  return print(finished[0].classification, [&](const Classification& result) {
    return labels_text(result, engine.labels(), top_k);
  });
}

int fill_one(Engine& engine, const Request& request, std::int64_t top_k) {
  engine.submit_mask_fill(0, request);
  const std::int64_t count = top_k > 0 ? top_k : default_candidates;
  const auto finished = wait_for([&] { return engine.step_mask_fills(count); });
  if (finished.empty()) return interrupted + stop_signal();
  return print(finished[0].fill, candidates_text);
}

int answer_one(Engine& engine, const TextSettings& settings) {
  const RowSettings& rows = settings.job.rows;
  const Request request = settings.request();
  if (rows.task == RowTask::embed) return embed_one(engine, request);
  if (rows.task == RowTask::classify) return classify_one(engine, request, rows.top_k);
  return fill_one(engine, request, rows.top_k);
}

int text_main(RowTask task, int argc, char** argv) {
  const TextVerb& verb = verb_of(task);
  TextSettings settings;
  if (!parse(settings, verb, argc, argv)) return 0;
  const VerbNeeds needs{name_of(task).data(), {verb.kind}};
  const std::vector<std::string> arguments = as_strings(argc, argv);
  if (settings.has_rows) {
    const RowVerb rows{needs, [&settings](BatchJob& job, const ModelFacts&) {
                         choose_prompt(settings, job.options, job.rows);
                       }};
    return run_row_job(settings.job, rows, arguments);
  }
  const auto settle = [&](const Options& options, const ModelFacts&) {
    choose_prompt(settings, options, settings.job.rows);
  };
  const auto drive = [&](Engine& engine) { return answer_one(engine, settings); };
  return answer_one_text(settings.job.options, {needs, settle, drive}, arguments);
}

}  // namespace

int embed_main(int argc, char** argv) { return text_main(RowTask::embed, argc, argv); }
int classify_main(int argc, char** argv) { return text_main(RowTask::classify, argc, argv); }
int fill_mask_main(int argc, char** argv) { return text_main(RowTask::fill_mask, argc, argv); }

}  // namespace trireme
