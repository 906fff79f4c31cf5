#include "cli/score_job.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "batch/row_codec.h"
#include "batch/row_reader.h"
#include "cli/logits_file.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/score_messages.h"
#include "trireme/ranks.h"

namespace trireme {

namespace {

/// Rows that a replica may be ahead of the output: enough for any batch, few enough for memory.
constexpr std::uint64_t rows_ahead = 256;
/// Logits on their way to rank 0, of each replica: 64 MB. The next step waits for them to be taken.
constexpr std::uint64_t floats_ahead = std::uint64_t{1} << 24;
constexpr std::size_t floats_per_message = std::size_t{1} << 22;
constexpr int some_rows_failed = 3;

/// The rows as requests.
class ScoreInput {
 public:
  ScoreInput(const ScoreSettings& settings, const std::string& path)
      : token_ids_(settings.token_ids),
        reader_({InputFile{path, {}}}, reader_options(settings)),
        codec_(row_settings(settings)) {}

  std::optional<RawRow> next() { return reader_.next(); }
  /// Whether next() returns at once, where the input is a pipe.
  bool ready() { return reader_.ready(); }

  DecodedRow decode(const RawRow& row) {
    DecodedRow decoded = codec_.decode(row);
    if (token_ids_ && !decoded.error && !decoded.request.token_ids) {
      decoded.error = {"invalid_row", fmt::format("line {}: --ids wants rows of token ids, such as "
                                                  "[1, 2, 3] or {{\"token_ids\": [1, 2, 3]}}",
                                                  row.line)};
    }
    return decoded;
  }

 private:
  static ReaderOptions reader_options(const ScoreSettings& settings) {
    ReaderOptions options;
    options.format = settings.input_format;
    options.token_ids = settings.token_ids;
    return options;
  }
  RowSettings row_settings(const ScoreSettings& settings) const {
    RowSettings rows;
    rows.prompt_template = settings.prompt_template;
    rows.format = reader_.format();
    rows.delimiter = reader_.delimiter();
    rows.csv_header = reader_.csv_header();
    rows.token_ids = token_ids_;
    return rows;
  }

  bool token_ids_;
  RowReader reader_;
  RowCodec codec_;
};

/// The rows that this replica scores.
class ScoreShare {
 public:
  using OnRow = std::function<void(ScoredRow)>;
  using OnRowLogits =
      std::function<void(std::uint64_t row, std::int64_t first, std::span<const float> logits)>;

  /// `on_logits` is empty where nobody wants them.
  ScoreShare(Engine& engine, OnRow on_row, OnRowLogits on_logits)
      : engine_(engine), on_row_(std::move(on_row)), on_logits_(std::move(on_logits)) {}

  void start(DecodedRow row) {
    const std::uint64_t index = row.reply.index;
    if (row.error) return answer(row.reply, {.error = std::move(row.error)});
    replies_.emplace(index, std::move(row.reply));
    OnLogits hear;
    if (on_logits_) {
      hear = [this, index](auto first, auto logits) { on_logits_(index, first, logits); };
    }
    engine_.submit_score(index, row.request, std::move(hear));
  }

  void step() {
    for (Engine::FinishedScore& finished : engine_.step_scores()) {
      const auto reply = replies_.extract(finished.tag);
      std::optional<RequestError>& error = finished.score.error;
      if (error) error = located(reply.mapped(), *error);
      answer(reply.mapped(), std::move(finished.score));
    }
  }

  bool idle() const { return replies_.empty(); }

 private:
  void answer(const RowReply& reply, Score score) {
    ScoredRow row{.row = reply.index, .failed = score.error.has_value()};
    row.line = encode_score(reply, score) + "\n";
    row.token_ids = std::move(score.token_ids);
    on_row_(std::move(row));
  }

  Engine& engine_;
  OnRow on_row_;
  OnRowLogits on_logits_;
  std::map<std::uint64_t, RowReply> replies_;
};

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

/// Rank 0.
class ScoreDesk {
 public:
  ScoreDesk(Engine& engine, const ScoreSettings& settings, const std::string& path)
      : engine_(engine),
        replicas_(static_cast<std::uint64_t>(settings.options.data_parallel_size)),
        taken_(replicas_),
        told_(replicas_),
        output_(settings.output),
        input_(settings, path),
        share_(
            engine, [this](ScoredRow row) { take(std::move(row)); },
            settings.logits.empty()
                ? ScoreShare::OnRowLogits()
                : [this](auto row, auto first,
                         auto logits) { logits_->write_logits(row, first, logits); }) {
    if (!settings.logits.empty()) survey(settings, path);
  }

  int run() {
    while (!input_ended_ || !window_.empty()) {
      receive_all();
      read_ahead();
      share_.step();
      write_finished();
      tell_limits(false);
      if (share_.idle() && !window_.empty()) rest();
    }
    tell_limits(true);
    engine_.stop();
    if (logits_) logits_->commit();
    output_.commit();
    progress_.finish();
    return errors_ > 0 ? some_rows_failed : 0;
  }

 private:
  /// Reads all rows beforehand: the file of logits begins with their shapes.
  void survey(const ScoreSettings& settings, const std::string& path) {
    logits_.emplace(settings.logits);
    ScoreInput rows(settings, path);
    std::int64_t count = 0;
    while (const std::optional<RawRow> raw = rows.next()) {
      const DecodedRow row = rows.decode(*raw);
      ++count;
      progress_.update(0, 0, 0, 0);
      if (row.error) continue;
      const Score score = engine_.tokenize(row.request);
      if (score.error) continue;
      logits_->expect(row.reply.index, static_cast<std::int64_t>(score.token_ids.size()));
    }
    progress_.set_total(count);
    logits_->begin(engine_.stats().vocab_size);
  }

  void receive_all() {
    for (std::uint64_t replica = 1; replica < replicas_; ++replica) {
      while (auto bytes = engine_.receive_from_driver(static_cast<int>(replica))) {
        ScoreMessage message = decode_score_message(*bytes);
        if (auto* row = std::get_if<ScoredRow>(&message)) take(std::move(*row));
        if (auto* part = std::get_if<LogitsPart>(&message)) take(replica, *part);
      }
    }
  }

  void take(ScoredRow row) {
    if (row.row < written_) return;
    const auto place = static_cast<std::size_t>(row.row - written_);
    // Another replica may read ahead of this one.
    if (place >= window_.size()) window_.resize(place + 1);
    window_[place] = std::move(row);
  }

  void take(std::uint64_t replica, const LogitsPart& part) {
    logits_->write_logits(part.row, part.first, part.logits);
    taken_[replica].floats_taken += part.logits.size();
  }

  void read_ahead() {
    while (!input_ended_ && (window_.empty() || input_.ready()) &&
           read_ < written_ + rows_ahead * replicas_) {
      const std::optional<RawRow> row = input_.next();
      input_ended_ = !row;
      if (!row) return;
      ++read_;
      if (window_.size() < read_ - written_) window_.resize(read_ - written_);
      if (row->index % replicas_ == 0) share_.start(input_.decode(*row));
    }
  }

  void write_finished() {
    for (; !window_.empty() && window_.front(); window_.pop_front(), ++written_) {
      const ScoredRow& row = *window_.front();
      output_.write(row.line);
      errors_ += row.failed ? 1 : 0;
      tokens_ += static_cast<std::int64_t>(row.token_ids.size());
      if (logits_ && !row.failed) logits_->write_ids(row.row, row.token_ids);
    }
    output_.flush();
    progress_.update(static_cast<std::int64_t>(written_), errors_, tokens_, 0);
  }

  /// Lets the other replicas go on, now and then; at the end, go.
  void tell_limits(bool stop) {
    for (std::uint64_t replica = 1; replica < replicas_; ++replica) {
      ScoreLimits& limits = taken_[replica];
      const ScoreLimits& told = told_[replica];
      limits.rows_below = written_ + rows_ahead * replicas_;
      limits.stop = stop;
      const bool news = limits.rows_below >= told.rows_below + rows_ahead / 4 ||
                        limits.floats_taken >= told.floats_taken + floats_ahead / 4 ||
                        (share_.idle() && (limits.rows_below != told.rows_below ||
                                           limits.floats_taken != told.floats_taken));
      if (!news && !stop) continue;
      engine_.send_to_driver(static_cast<int>(replica), encode(limits));
      told_[replica] = limits;
    }
  }

  Engine& engine_;
  std::uint64_t replicas_;
  std::vector<ScoreLimits> taken_, told_;  // by replica
  Output output_;
  Progress progress_{"score"};
  std::optional<LogitsFile> logits_;
  ScoreInput input_;
  ScoreShare share_;
  std::deque<std::optional<ScoredRow>> window_;  ///< from row `written_` on; empty until done
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;
  bool input_ended_ = false;
  std::int64_t errors_ = 0;
  std::int64_t tokens_ = 0;
};

/// The driver of another replica.
class ScoreWorker {
 public:
  ScoreWorker(Engine& engine, const ScoreSettings& settings, const std::string& path)
      : engine_(engine),
        replicas_(static_cast<std::uint64_t>(settings.options.data_parallel_size)),
        input_(settings, path),
        share_(
            engine, [this](ScoredRow row) { send(std::move(row)); },
            settings.logits.empty()
                ? ScoreShare::OnRowLogits()
                : [this](auto row, auto first, auto logits) { send(row, first, logits); }) {
    limits_.rows_below = rows_ahead * replicas_;
    read_next();
  }

  void run() {
    for (hear_limits(); !limits_.stop; hear_limits()) {
      start_rows();
      const bool full = floats_sent_ - limits_.floats_taken >= floats_ahead;
      if (!full) share_.step();
      if (full || share_.idle()) rest();
    }
    engine_.stop();
  }

 private:
  /// After the last word rank 0 is gone.
  void hear_limits() {
    while (!limits_.stop) {
      const std::optional<std::string> bytes = engine_.receive_from_driver(0);
      if (!bytes) return;
      limits_ = std::get<ScoreLimits>(decode_score_message(*bytes));
    }
  }

  void read_next() {
    do {
      next_ = input_.next();
    } while (next_ && next_->index % replicas_ != static_cast<std::uint64_t>(engine_.replica()));
  }

  void start_rows() {
    for (; next_ && next_->index < limits_.rows_below; read_next()) {
      share_.start(input_.decode(*next_));
    }
  }

  void send(ScoredRow row) { engine_.send_to_driver(0, encode(std::move(row))); }

  void send(std::uint64_t row, std::int64_t first, std::span<const float> logits) {
    const auto vocab = static_cast<std::size_t>(engine_.stats().vocab_size);
    const std::size_t most = std::max<std::size_t>(1, floats_per_message / vocab) * vocab;
    floats_sent_ += logits.size();
    while (!logits.empty()) {
      const auto part = logits.first(std::min(most, logits.size()));
      engine_.send_to_driver(0, encode(LogitsPart{row, first, {part.begin(), part.end()}}));
      logits = logits.subspan(part.size());
      first += static_cast<std::int64_t>(part.size() / vocab);
    }
  }

  Engine& engine_;
  std::uint64_t replicas_;
  ScoreInput input_;
  ScoreShare share_;
  std::optional<RawRow> next_;  ///< of this replica
  ScoreLimits limits_;
  std::uint64_t floats_sent_ = 0;
};

}  // namespace

int score_rows(Engine& engine, const ScoreSettings& settings, const std::string& input) {
  if (!engine.is_driver()) {
    engine.follow();
  } else if (engine.replica() > 0) {
    ScoreWorker(engine, settings, input).run();
  } else {
    return ScoreDesk(engine, settings, input).run();
  }
  return 0;
}

}  // namespace trireme
