#include "cli/end_table.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

RunSummary summary_of() {
  RunSummary summary;
  summary.rows = 1000;
  summary.resumed = 200;
  summary.failed = 12;
  summary.seconds = 110;
  summary.working_seconds = 100;
  for (std::uint64_t row = 0; row < 100; ++row) {
    const RawRow raw{row, row + 1, "x"};
    summary.row_stats.read(raw, 0);
    summary.row_stats.hand_out(raw, 0, 500'000'000);
    summary.row_stats.answer(raw, {row, false, "", 50, 30}, 4'500'000'000);
  }
  summary.row_stats.answer({200, 201, ""},
                           {200, true, R"({"id":1,"error":{"code":"too_long","message":"m"}})"}, 1);
  RankSummary rank{{}, "rank 0, stage 0", std::uint64_t{30} << 20};
  rank.rank.seconds = 100;
  rank.rank.starts = 3;
  rank.rank.total.busy_ns = 83'000'000'000;
  rank.rank.total.waited_ns = 11'000'000'000;
  rank.rank.total.peak_bytes = std::uint64_t{32} << 20;
  rank.rank.total.shared_bytes = std::uint64_t{8} << 20;
  rank.rank.total.steps = 4321;
  summary.ranks.push_back(rank);
  return summary;
}

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(text.find("  " + line + "\n"), std::string::npos) << text << "lacks: " << line;
}

TEST(EndTable, TellsRowsTokensTimesAndRanks) {
  const std::string text = end_table(summary_of(), {});
  expect_line(text, "rows      1000 (200 by earlier runs), 12 failed");
  expect_line(text, "errors    too_long 1");
  expect_line(text, "input     5.0 k (50 tok/s)");
  expect_line(text, "output    3.0 k (30 tok/s)");
  expect_line(text, "row time  p50 4.0 s, p99 4.0 s");
  expect_line(text, "in queue  p50 500 ms, p99 500 ms");
  expect_line(
      text, "                 busy  waited  peak memory  of it shared   planned  steps  restarts");
  expect_line(
      text, "rank 0, stage 0  83 %    11 %     32.0 MiB       8.0 MiB  30.0 MiB   4321         2");
  EXPECT_EQ(text.find("limit"), std::string::npos) << "nothing was measured";
}

TEST(EndTable, ComparesWithWhatWasMeasured) {
  RunSummary summary = summary_of();
  summary.limits.emplace();
  summary.limits->limit_seconds = 62;
  expect_line(end_table(summary, {}), "speed     62 % of the machine's measured limit");
  summary.limits->predicted_seconds = 93;
  expect_line(end_table(summary, {}),
              "speed     62 % of the machine's measured limit; 93 % of what plan predicted");
}

TEST(EndTable, OfAJobThatNeverBegan) {
  const std::string text = end_table({}, {});
  expect_line(text, "rows   0");
  EXPECT_EQ(text.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace trireme
