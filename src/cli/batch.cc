// `trireme batch`: the main job, a file of rows in and a file of answers out.
#include <algorithm>

#include "batch/choices.h"
#include "cli/arguments.h"
#include "cli/ranks.h"
#include "cli/row_job.h"
#include "cli/verbs.h"

namespace trireme {

namespace {

/// --choices, beside which nothing is sampled.
void add_choices(CLI::App& app, std::string& choices) {
  app.add_option("--choices", choices,
                 "Answer each row with one of these labels, and how likely each is: a file with a\n"
                 "label a line, or a,b,c, or {column} for each row's own")
      ->type_name("FILE|a,b,c");
}

void settle_choices(CLI::App& app, const std::string& choices, BatchJob& job) {
  if (app.count("--choices") == 0) return;
  refuse_beside_choices(app);
  take_choices(choices, job.rows);
  job.rows.top_k = std::max<std::int64_t>(0, job.rows.sampling.top_k.value_or(0));
}

bool parse(BatchJob& job, int argc, char** argv) {
  Arguments arguments(
      "batch",
      "Answers every row of a file, once each and in order. The output's bytes do not depend on "
      "the\n"
      "plan. Killed at any point, the same command goes on where it stopped.",
      {"trireme batch --model demo/llama -i demo/prompts.jsonl -o out.jsonl -dp 2",
       "trireme batch -m demo/llama -i questions.csv -o out.jsonl --chat \\\n"
       "    --prompt-template \"Classify {question} as one of {labels}\" --max-new-tokens 10",
       "trireme batch -m demo/llama -i reviews.csv -o out.jsonl --choices positive,negative \\\n"
       "    --prompt-template \"{review}\\nThis review is \"",
       "mpirun -n 4 trireme batch -m DIR -i rows.jsonl -o out.jsonl -tp 2 -pp 2"});
  CLI::App& app = arguments.app();
  add_row_job(arguments, job,
              "Rows: JSON Lines ({\"prompt\"} or {\"messages\"}, OpenAI batch rows too), plain\n"
              "text, CSV or TSV; - is standard input");
  app.get_option("--input")->required();
  app.get_option("--output")->required();
  app.add_flag("--chat", job.rows.chat,
               "Prompts are users' messages: apply the model's chat template");
  std::string choices;
  add_choices(app, choices);
  arguments.add_sampling(job.rows.sampling);
  arguments.add_model(job.options, &job.rows.sampling.seed);
  app.get_option("--model")->required();
  arguments.add_plan(job.options);
  arguments.add_machine(job.options);
  if (!arguments.parse(argc, argv)) return false;
  settle_choices(app, choices, job);
  return true;
}

}  // namespace

int batch_main(int argc, char** argv) {
  BatchJob job;
  if (!parse(job, argc, argv)) return 0;
  const RowVerb verb{{"batch", {ModelKind::decoder, ModelKind::encoder_decoder}}, {}};
  return run_row_job(std::move(job), verb, as_strings(argc, argv));
}

}  // namespace trireme
