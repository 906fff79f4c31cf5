#include "batch/messages.h"

#include <simdjson.h>

#include "batch/message_io.h"

namespace trireme {

namespace {

/// One description of each message's fields, for writing (a const message) and for reading.
template <typename Io, typename Sampling>
void visit_sampling(Io& io, Sampling& sampling) {
  const auto number = [&io](auto& value) { io.number(value); };
  const auto flag = [&io](auto& value) { io.flag(value); };
  io.optional(sampling.max_new_tokens, number);
  io.optional(sampling.do_sample, flag);
  io.optional(sampling.temperature, number);
  io.optional(sampling.top_k, number);
  io.optional(sampling.top_p, number);
  io.optional(sampling.min_p, number);
  io.optional(sampling.repetition_penalty, number);
  io.optional(sampling.seed, number);
  io.optional(sampling.ignore_eos, flag);
  io.list(sampling.stop, [&io](auto& text) { io.text(text); });
}

template <typename Io, typename Settings>
void visit_settings(Io& io, Settings& settings) {
  io.choice(settings.format, RowFormat::csv);
  io.number(settings.delimiter);
  io.list(settings.csv_header, [&io](auto& name) { io.text(name); });
  io.text(settings.prompt_template);
  io.flag(settings.chat);
  io.flag(settings.token_ids);
  visit_sampling(io, settings.sampling);
  io.choice(settings.task, RowTask::choose);
  io.text(settings.pair_template);
  io.text(settings.prefix);
  io.optional(settings.truncate, [&io](auto& value) { io.flag(value); });
  io.list(settings.choices, [&io](auto& label) { io.text(label); });
  io.text(settings.choices_column);
  io.number(settings.top_k);
  io.optional(settings.keep_columns,
              [&io](auto& names) { io.list(names, [&io](auto& name) { io.text(name); }); });
}

template <typename Io, typename Rank>
void visit_rank(Io& io, Rank& rank) {
  auto& sample = rank.sample;
  io.number(rank.rank);
  io.number(sample.began_ns);
  io.number(sample.ready_ns);
  io.number(sample.busy_ns);
  io.number(sample.waited_ns);
  io.number(sample.steps);
  io.number(sample.tokens);
  for (auto& count : sample.step_count) io.number(count);
  for (auto& tokens : sample.step_tokens) io.number(tokens);
  io.number(sample.kv_used);
  io.number(sample.kv_blocks);
  io.number(sample.peak_bytes);
  io.number(sample.shared_bytes);
  io.number(sample.weight_bytes);
  io.number(sample.multiply_adds_per_token);
}

template <typename Io, typename Message>
void visit_message(Io& io, Message& message) {
  using M = std::remove_const_t<Message>;
  if constexpr (std::is_same_v<M, ReadyMessage>) {
    io.number(message.capacity);
  } else if constexpr (std::is_same_v<M, JobMessage>) {
    visit_settings(io, message.settings);
  } else if constexpr (std::is_same_v<M, RowsMessage>) {
    io.list(message.rows, [&io](auto& row) {
      io.number(row.index);
      io.number(row.line);
      io.choice(row.defect, RowDefect::unterminated_quote);
      io.text(row.bytes);
      io.text(row.file);
    });
  } else if constexpr (std::is_same_v<M, ResultsMessage>) {
    io.list(message.results, [&io](auto& result) {
      io.number(result.row);
      io.flag(result.failed);
      io.text(result.line);
      io.number(result.prompt_tokens);
      io.number(result.new_tokens);
    });
  } else if constexpr (std::is_same_v<M, StatsMessage>) {
    io.list(message.ranks, [&io](auto& rank) { visit_rank(io, rank); });
  } else if constexpr (std::is_same_v<M, ReturnedMessage>) {
    io.list(message.rows, [&io](auto& row) { io.number(row); });
  } else {
    static_assert(std::is_same_v<M, StopMessage> || std::is_same_v<M, RecallMessage>);
  }
}

constexpr auto fields = [](auto& io, auto& message) { visit_message(io, message); };

void check_ranks(const StatsMessage& stats) {
  bool good = stats.ranks.size() <= StatsMessage::most_ranks;
  for (const StatsMessage::Rank& rank : stats.ranks) {
    good = good && rank.rank < StatsMessage::most_ranks;
  }
  if (!good) fail_malformed("more ranks than there can be");
}

/// An answer is kept before anybody reads it again: what is no object would spoil the output.
void check_lines(const ResultsMessage& answered) {
  simdjson::dom::parser parser;
  for (const RowResult& result : answered.results) {
    if (result.line.find('\n') != std::string::npos) fail_malformed("an answer of two lines");
    simdjson::dom::object object;
    if (parser.parse(result.line).get(object) != simdjson::SUCCESS) {
      fail_malformed("an answer that is no JSON object");
    }
  }
}

void check(const BatchMessage& message) {
  constexpr std::uint64_t most_rows = 1 << 22;  // at once; more than any cache has room for
  if (const auto* ready = std::get_if<ReadyMessage>(&message)) {
    if (ready->capacity == 0) fail_malformed("a worker without capacity");
    if (ready->capacity > most_rows) fail_malformed("a worker with room for everything");
  } else if (const auto* answered = std::get_if<ResultsMessage>(&message)) {
    check_lines(*answered);
  } else if (const auto* stats = std::get_if<StatsMessage>(&message)) {
    check_ranks(*stats);
  }
}

}  // namespace

std::string encode(const BatchMessage& message) { return encode_message(message, fields); }

BatchMessage decode(std::string_view bytes) {
  BatchMessage message = decode_message<BatchMessage>(bytes, fields);
  check(message);
  return message;
}

}  // namespace trireme
