// Messages come back as they were, and bytes that nobody wrote are refused.
#include "batch/messages.h"

#include <random>

#include "support/scratch.h"

namespace trireme {
namespace {

std::vector<BatchMessage> examples() {
  RowSettings settings{RowFormat::csv, '\t', {"a", ""}, "{a}", true, true, {}};
  settings.sampling.max_new_tokens = 5;
  settings.sampling.do_sample = true;
  settings.sampling.temperature = 0.7f;
  settings.sampling.seed = 12345678901234567890ull;
  settings.sampling.stop = {"x", std::string("\0y", 2)};
  settings.task = RowTask::fill_mask;
  settings.pair_template = "{b}";
  settings.prefix = "translate: ";
  settings.truncate = false;
  settings.top_k = 3;
  settings.keep_columns = {"a", "b"};
  RankSample sample;
  sample.busy_ns = 5;
  sample.step_tokens[step_classes - 1] = 6;
  sample.multiply_adds_per_token = 7;
  settings.choices = {"yes", "no, never"};
  settings.choices_column = "labels";
  return {ReadyMessage{64},
          JobMessage{settings},
          JobMessage{},
          RowsMessage{{{7, 9, "bytes\n", RowDefect::none}, {8, 10, "", RowDefect::too_long}}},
          ResultsMessage{{{7, false, "{}"}, {8, true, R"({"error":{}})"}}},
          StopMessage{},
          RecallMessage{},
          ReturnedMessage{{3, 1, 2}},
          ReturnedMessage{},
          StatsMessage{},
          StatsMessage{{{3, sample}, {1023, {}}}}};
}

TEST(Messages, RoundTrip) {
  for (const BatchMessage& message : examples()) {
    const std::string bytes = encode(message);
    EXPECT_EQ(encode(decode(bytes)), bytes);
  }
  const auto job = std::get<JobMessage>(decode(encode(examples()[1])));
  EXPECT_EQ(job.settings.delimiter, '\t');
  EXPECT_EQ(job.settings.csv_header.size(), 2u);
  EXPECT_EQ(job.settings.sampling.temperature, 0.7f);
  EXPECT_EQ(job.settings.sampling.top_k, std::nullopt);
  EXPECT_EQ(job.settings.sampling.stop[1].size(), 2u);
  EXPECT_EQ(job.settings.task, RowTask::fill_mask);
  EXPECT_EQ(job.settings.pair_template, "{b}");
  EXPECT_EQ(job.settings.prefix, "translate: ");
  EXPECT_EQ(job.settings.truncate, false);
  EXPECT_EQ(job.settings.top_k, 3);
  EXPECT_EQ(job.settings.keep_columns, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(job.settings.choices, (std::vector<std::string>{"yes", "no, never"}));
  EXPECT_EQ(job.settings.choices_column, "labels");
  const auto rows = std::get<RowsMessage>(decode(encode(examples()[3])));
  EXPECT_EQ(rows.rows[0].bytes, "bytes\n");
  EXPECT_EQ(rows.rows[1].defect, RowDefect::too_long);
}

TEST(Messages, RefusesEveryPrefixAndSuffix) {
  for (const BatchMessage& message : examples()) {
    const std::string bytes = encode(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      message_of(ErrorKind::peer_lost, [&] { decode(std::string_view(bytes).substr(0, size)); });
    }
    message_of(ErrorKind::peer_lost, [&] { decode(bytes + "x"); });
  }
  for (const char* const line : {"", "{", "[]", "{}\n{}", "{\"a\":1}x"}) {
    message_of(ErrorKind::peer_lost, [&] { decode(encode(ResultsMessage{{{7, false, line}}})); });
  }
  message_of(ErrorKind::peer_lost, [] { decode("\xff"); });
  message_of(ErrorKind::peer_lost, [] { decode(encode(ReadyMessage{0})); });
}

TEST(Messages, CountersOfRanksComeBackAndHaveBounds) {
  const auto stats = std::get<StatsMessage>(decode(encode(examples().back())));
  ASSERT_EQ(stats.ranks.size(), 2u);
  EXPECT_EQ(stats.ranks[0].rank, 3u);
  EXPECT_EQ(stats.ranks[0].sample, std::get<StatsMessage>(examples().back()).ranks[0].sample);
  StatsMessage many;
  many.ranks.resize(StatsMessage::most_ranks + 1);
  message_of(ErrorKind::peer_lost, [&] { decode(encode(many)); });
  message_of(ErrorKind::peer_lost, [] { decode(encode(StatsMessage{{{1024, {}}}})); });
}

TEST(Messages, SurvivesFlippedBytes) {
  std::mt19937 random(1);
  const auto messages = examples();
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = encode(messages[random() % messages.size()]);
    bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      decode(bytes);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace trireme
