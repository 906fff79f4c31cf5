// `trireme score`: the log-probability of every token of given texts.
#include <fmt/core.h>

#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "batch/byte_source.h"
#include "batch/row_codec.h"
#include "batch/row_reader.h"
#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/ranks.h"
#include "cli/verbs.h"
#include "trireme/engine.h"
#include "trireme/ranks.h"
#include "trireme/tensors.h"

namespace trireme {

namespace {

/// Rows that are scored by one call: enough to keep every replica busy, few enough for memory.
constexpr std::size_t rows_per_call = 256;
constexpr int some_rows_failed = 3;

struct ScoreSettings {
  Options options;
  std::string input;
  std::string output = "-";
  std::string logits;  ///< file; empty: none
  std::string input_format = "auto";
  bool token_ids = false;
};

/// All logits of a run, until they are written as one file.
class LogitsFile {
 public:
  void add(std::uint64_t row, Score& score) {
    const auto tokens = static_cast<std::int64_t>(score.token_ids.size());
    Entry& entry = entries_.emplace_back();
    entry.ids.assign(score.token_ids.begin(), score.token_ids.end());
    entry.logits = std::move(score.logits);
    const auto vocab = static_cast<std::int64_t>(entry.logits.size()) / tokens;
    tensors_.push_back({fmt::format("logits.{}", row), {tokens, vocab}, std::span(entry.logits)});
    tensors_.push_back({fmt::format("ids.{}", row), {tokens}, std::span(entry.ids)});
  }
  void write(const std::string& path) const { write_safetensors(path, tensors_); }

 private:
  struct Entry {
    std::vector<std::int64_t> ids;
    std::vector<float> logits;
  };
  std::deque<Entry> entries_;  // which stay where they are
  std::vector<NamedTensor> tensors_;
};

/// Reads rows, has them scored by all ranks and, on rank 0, writes the answers.
class ScoreJob {
 public:
  ScoreJob(Engine& engine, const ScoreSettings& settings, RowReader& reader);
  int run();

 private:
  struct Chunk {
    std::vector<DecodedRow> rows;
    std::vector<Request> requests;  // of the rows that can be scored
  };

  Chunk read_chunk();
  void answer(const Chunk& chunk, std::vector<Score> scores);
  void finish();

  Engine& engine_;
  const ScoreSettings& settings_;
  RowReader& reader_;
  RowCodec codec_;
  bool first_rank_;
  std::unique_ptr<Output> output_;  // on rank 0, like the rest
  std::unique_ptr<Progress> progress_;
  LogitsFile logits_;
  std::int64_t rows_ = 0;
  std::int64_t errors_ = 0;
  std::int64_t tokens_ = 0;
};

RowSettings row_settings(const ScoreSettings& settings, const RowReader& reader) {
  RowSettings rows;
  rows.format = reader.format();
  rows.delimiter = reader.delimiter();
  rows.csv_header = reader.csv_header();
  rows.token_ids = settings.token_ids;
  return rows;
}

ScoreJob::ScoreJob(Engine& engine, const ScoreSettings& settings, RowReader& reader)
    : engine_(engine),
      settings_(settings),
      reader_(reader),
      codec_(row_settings(settings, reader)),
      first_rank_(rank_place().rank == 0) {
  if (!first_rank_) return;
  output_ = std::make_unique<Output>(settings.output);
  progress_ = std::make_unique<Progress>("score");
}

ScoreJob::Chunk ScoreJob::read_chunk() {
  Chunk chunk;
  while (chunk.rows.size() < rows_per_call) {
    const std::optional<RawRow> row = reader_.next();
    if (!row) break;
    chunk.rows.push_back(codec_.decode(*row));
    DecodedRow& decoded = chunk.rows.back();
    if (settings_.token_ids && !decoded.error && !decoded.request.token_ids) {
      decoded.error = {"invalid_row", fmt::format("line {}: --ids wants rows of token ids, such as "
                                                  "[1, 2, 3] or {{\"token_ids\": [1, 2, 3]}}",
                                                  row->line)};
    }
    if (!decoded.error) chunk.requests.push_back(decoded.request);
  }
  return chunk;
}

void ScoreJob::answer(const Chunk& chunk, std::vector<Score> scores) {
  auto score = scores.begin();
  for (const DecodedRow& row : chunk.rows) {
    Score failed;
    failed.error = row.error;
    Score& answer = row.error ? failed : *score++;
    output_->write(encode_score(row.reply, answer) + "\n");
    ++rows_;
    tokens_ += static_cast<std::int64_t>(answer.token_ids.size());
    if (answer.error) {
      ++errors_;
    } else if (!settings_.logits.empty()) {
      logits_.add(row.reply.index, answer);
    }
  }
  output_->flush();
  progress_->update(rows_, errors_, tokens_, 0);
}

void ScoreJob::finish() {
  output_->commit();
  if (!settings_.logits.empty()) logits_.write(settings_.logits);
  progress_->finish();
}

int ScoreJob::run() {
  for (;;) {
    const Chunk chunk = read_chunk();
    if (chunk.rows.empty()) break;
    std::vector<Score> scores = engine_.score(chunk.requests, !settings_.logits.empty());
    if (first_rank_) answer(chunk, std::move(scores));
  }
  if (!first_rank_) return 0;
  finish();
  return errors_ > 0 ? some_rows_failed : 0;
}

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
  app.add_option(
         "-i,--input", settings.input,
         "JSON Lines with \"text\" or \"prompt\" (and \"id\"), or a text a line; -: standard "
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
  app.add_flag("--ids", settings.token_ids,
               "Rows are token ids: [1, 2] or {\"token_ids\": [1, 2]} or 1 2")
      ->group(group);
  app.add_option("--logits", settings.logits,
                 "Also write a safetensors file: logits.N [tokens, vocabulary] and ids.N of row N\n"
                 "(counted from 0); held in memory until the end")
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

/// What would otherwise go wrong only after the model is loaded, and on every rank.
void check_files(const ScoreSettings& settings) {
  if (settings.input != "-") open_bytes(settings.input);
  if (settings.output != "-") Output probe(settings.output);
  const std::filesystem::path folder = std::filesystem::path(settings.logits).parent_path();
  if (!settings.logits.empty() && !folder.empty() && !std::filesystem::is_directory(folder)) {
    throw Error(ErrorKind::input,
                fmt::format("{}: there is no directory {}", settings.logits, folder.string()));
  }
}

}  // namespace

int score_main(int argc, char** argv) {
  ScoreSettings settings;
  if (!parse(settings, argc, argv)) return 0;
  const std::string input = input_path(settings.input, settings.options);
  check_plan_fits(settings.options);
  if (!rank_place().started) check_files(settings);
  if (needs_ranks(settings.options)) {
    return run_on_ranks(settings.options, {.arguments = as_strings(argc, argv),
                                           .share_input = settings.input == "-",
                                           .patient = settings.output == "-"});
  }
  ReaderOptions reading;
  reading.format = settings.input_format;
  reading.token_ids = settings.token_ids;
  RowReader reader(open_bytes(input), reading);
  Engine engine(settings.options);
  return ScoreJob(engine, settings, reader).run();
}

}  // namespace trireme
