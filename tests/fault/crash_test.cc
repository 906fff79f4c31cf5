// A row at which the program crashes costs itself, and no other row; a program that crashes at all
// of them stops trying.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

const std::string mark = "crash here";

/// The job's rows, with the mark in those at `places`.
void mark_rows(const Job& job, const std::vector<std::size_t>& places) {
  Words rows = lines_of(read_file(job.input()));
  for (const std::size_t place : places) {
    std::string& row = rows.at(place);
    row.insert(row.find("\"prompt\": \"") + 11, mark);
  }
  std::string text;
  for (const std::string& row : rows) text += row + "\n";
  write_file(job.input(), text);
}

class Crash : public ::testing::TestWithParam<Words> {};

TEST_P(Crash, CostsTheRowAndNoOther) {
  Job job(60);
  const Words good = lines_of(job.expected());
  mark_rows(job, {7, 8, 40});
  job.set_env("TRIREME_TEST_CRASH_ON", mark);
  const auto running = job.start(GetParam());
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_NE(outcome.err.find("row 7 (line 8) crashed its replica twice"), std::string::npos)
      << outcome.err;
  const Words answers = lines_of(job.written());
  ASSERT_EQ(answers.size(), good.size());
  for (std::size_t row = 0; row < good.size(); ++row) {
    if (row == 7 || row == 8 || row == 40) {
      const std::string start =
          "{\"id\":\"row-" + std::to_string(row) + "\",\"error\":{\"code\":\"crashed\"";
      EXPECT_TRUE(answers[row].starts_with(start)) << answers[row];
      EXPECT_NE(answers[row].find("signal 6"), std::string::npos) << answers[row];
    } else {
      EXPECT_EQ(answers[row], good[row]);
    }
  }
  EXPECT_TRUE(running->nothing_left());
}

TEST_P(Crash, OfEveryRowEndsTheJobResumably) {
  Job job(40);
  job.set_env("TRIREME_TEST_CRASH_ON", "prompt");
  const Outcome outcome = job.run(GetParam());
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("it is not the rows' fault"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(job.output()));
}

INSTANTIATE_TEST_SUITE_P(Plans, Crash,
                         ::testing::Values(Words{}, Words{"-dp", "2"}, Words{"-tp", "2"},
                                           Words{"-dp", "2", "-pp", "2"}));

/// Killed from outside, a replica has no row to blame, however often.
TEST(CrashFromOutside, BlamesNoRow) {
  Job job(60, {"--max-num-seqs", "1"});
  const std::uintmax_t some = job.expected().size() / 10;
  const auto running = job.start({"-tp", "2"});
  for (int i = 0; i < 6; ++i) {
    if (!job.await_growth(*running, some)) break;
    const std::vector<Running::Rank> ranks = running->ranks();
    ASSERT_FALSE(ranks.empty());
    send_signal(ranks.front().pid, i % 2 == 0 ? SIGKILL : SIGTERM);
  }
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
