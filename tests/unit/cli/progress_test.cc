#include "cli/progress.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

constexpr std::size_t wide = 400;

ProgressState busy() {
  return {.rows = 250,
          .total = 1000,
          .in_flight = 64,
          .errors = 3,
          .prompt_tokens_per_s = 5100,
          .new_tokens_per_s = 812,
          .seconds_left = Spread{190, 280},
          .kv_use = 0.43,
          .utilisation = {0.93, 0.88, 0.914, 0.4},
          .stragglers = {{1, 0.48}},
          .seconds = 100};
}

TEST(ProgressLine, SaysWhatIsKnown) {
  EXPECT_EQ(progress_line("batch", {}, wide), "batch: 0 rows, 0.0 s");
  EXPECT_EQ(progress_line("batch", {.rows = 1, .loading = true, .seconds = 2}, wide),
            "batch: 1 row, loading, 2.0 s");
  EXPECT_EQ(progress_line("batch", busy(), wide),
            "batch: 250/1000 rows (25 %), 64 in flight, 3 failed, in 5.1 k out 812 tok/s, 3-5 min "
            "left, KV 43 %, ranks 93 88 91 40 %, replica 1 at 48 % of the others' rate");
}

TEST(ProgressLine, ScoringCountsWhatIsRead) {
  EXPECT_EQ(progress_line(
                "score", {.rows = 4, .total = 4, .prompt_tokens_per_s = 3000, .seconds = 10}, wide),
            "score: 4/4 rows (100 %), 3.0 k tok/s, 10 s");
}

TEST(ProgressLine, LeavesOutWhatMattersLeastFirst) {
  const std::string verb = "batch";
  const auto fits = [&](std::size_t room, const std::string& has, const std::string& lacks) {
    const std::string line = progress_line(verb, busy(), room);
    EXPECT_LE(line.size(), room);
    EXPECT_NE(line.find(has), std::string::npos) << line;
    EXPECT_EQ(line.find(lacks), std::string::npos) << line;
  };
  fits(150, "ranks", "KV");
  fits(130, "in flight", "ranks");
  fits(120, "replica 1", "in flight");
  fits(76, "tok/s", "replica 1");
  fits(55, "left", "tok/s");
  fits(38, "failed", "left");
  fits(30, "250/1000", "left");
  EXPECT_EQ(progress_line(verb, busy(), 10), "batch: 250");
}

TEST(ProgressLine, ManyRanksAreSummedUp) {
  ProgressState state = busy();
  state.utilisation.assign(64, 0.9);
  state.utilisation[5] = 0.2;
  EXPECT_NE(progress_line("batch", state, wide).find("64 ranks 20-90 %, median 90 %"),
            std::string::npos);
}

TEST(DurationRange, IsAsExactAsAGuess) {
  EXPECT_EQ(duration_range({3, 4.2}), "3-5 s");
  EXPECT_EQ(duration_range({41, 56}), "40-60 s");
  EXPECT_EQ(duration_range({58, 59}), "55-60 s");
  EXPECT_EQ(duration_range({0.1, 0.2}), "about 1 s");
  EXPECT_EQ(duration_range({190, 280}), "3-5 min");
  EXPECT_EQ(duration_range({7200, 7200}), "about 2 h");
  EXPECT_EQ(duration_range({3600, 400'000}), "0-5 days");
}

TEST(Progress, SaysNothingBeforeTenSecondsOffATerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("batch", 10);
    for (int row = 0; row < 10; ++row) progress.update(row, 0, 0, 0);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, EndsWithOnePlainLine) {
  for (const bool quiet : {false, true}) {
    ::testing::internal::CaptureStderr();
    {
      Progress progress("batch", 2, quiet);
      progress.update(2, 0, 10, 20);
      progress.finish();
      progress.finish();
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.rfind("batch: 2/2 rows (100 %)", 0), 0u) << said;
    EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
    EXPECT_EQ(said.find('\033'), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace trireme
