#include "cli/progress.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(ProgressLine, SaysWhatIsKnown) {
  EXPECT_EQ(progress_line("batch", {}), "batch: 0 rows, 0.0 s");
  EXPECT_EQ(progress_line("batch", {.rows = 1, .seconds = 2}), "batch: 1 row, 0 tok/s, 2.0 s");
  EXPECT_EQ(progress_line("batch", {.rows = 250,
                                    .total = 1000,
                                    .errors = 1,
                                    .prompt_tokens = 900,
                                    .new_tokens = 5000,
                                    .seconds = 10}),
            "batch: 250/1000 rows (25 %), 1 error, 500 tok/s, 30 s left");
}

TEST(ProgressLine, ScoringCountsWhatWasRead) {
  EXPECT_EQ(
      progress_line("score",
                    {.rows = 4, .total = 4, .errors = 2, .prompt_tokens = 30000, .seconds = 10}),
      "score: 4/4 rows (100 %), 2 errors, 3.0 k tok/s, 10 s");
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
  ::testing::internal::CaptureStderr();
  {
    Progress progress("batch", 2);
    progress.update(2, 0, 10, 20);
    progress.finish();
    progress.finish();
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.rfind("batch: 2/2 rows (100 %)", 0), 0u) << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
  EXPECT_EQ(said.find('\033'), std::string::npos) << said;
}

}  // namespace
}  // namespace trireme
