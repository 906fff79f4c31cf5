// SIGTERM and SIGINT end a job politely: exit code 5, no rank left, and the same command goes on.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

struct Case {
  Words plan;
  int signal = SIGTERM;
  bool to_all = false;  ///< to the ranks, too, as a terminal's Ctrl-C
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << strsignal(c.signal) << (c.to_all ? " to all" : "");
  for (const std::string& word : c.plan) *out << " " << word;
}

class Signal : public ::testing::TestWithParam<Case> {};

TEST_P(Signal, EndsTheJobResumably) {
  Job job(150, {"--max-num-seqs", "4"});  // or the rows at work would be all that are left
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start(GetParam().plan);
  ASSERT_TRUE(job.await_growth(*running, some));
  if (GetParam().to_all) {
    send_signal_to_all(*running, GetParam().signal);
  } else {
    send_signal(running->pid(), GetParam().signal);
  }
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = running->wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(taken.count(), 5);
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("stopped; everything finished so far is kept"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.err.find("was killed"), std::string::npos) << outcome.err;
  EXPECT_TRUE(running->nothing_left());
  EXPECT_FALSE(std::filesystem::exists(job.output()));

  const Outcome resumed = job.run(GetParam().plan);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Plans, Signal,
                         ::testing::Values(Case{{}, SIGTERM}, Case{{}, SIGINT},
                                           Case{{"-dp", "2"}, SIGTERM},
                                           Case{{"-dp", "2"}, SIGINT, true},
                                           Case{{"-tp", "2", "-pp", "2"}, SIGINT, true},
                                           Case{{"-tp", "2"}, SIGTERM}));

/// The line that tells how to go on, as a shell would run it.
std::string resume_command(const std::string& err) {
  const std::size_t at = err.find("\n  trireme ");
  if (at == std::string::npos) return "";
  return err.substr(at + 11, err.find('\n', at + 1) - at - 11);
}

class Drain : public ::testing::TestWithParam<Words> {};

/// Long rows that have begun when the signal comes are finished, others do not begin, and what is
/// printed goes on from there.
TEST_P(Drain, FinishesWhatIsAtWorkAndTellsHowToGoOn) {
  Job job(40, {"--max-num-seqs", "2", "--ignore-eos", "--restart"});
  job.set_verb({"batch", "--max-new-tokens", "200"});
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, 1000));
  send_signal(running->pid(), SIGINT);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("at work"), std::string::npos) << outcome.err;
  const std::string command = resume_command(outcome.err);
  EXPECT_EQ(command.find("--restart"), std::string::npos) << command;
  const Outcome resumed = run("sh", {"-c", trireme_program() + " " + command});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  EXPECT_TRUE(job.written() == job.expected());
}

TEST_P(Drain, ASecondSignalWaitsForNothing) {
  Job job(40, {"--max-num-seqs", "2", "--ignore-eos"});
  job.set_verb({"batch", "--max-new-tokens", "800"});
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, 2000));
  send_signal(running->pid(), SIGINT);
  ASSERT_TRUE(
      Job::await(*running, [&] { return running->err().find("at work") != std::string::npos; }));
  send_signal(running->pid(), SIGINT);
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = running->wait();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_TRUE(running->nothing_left());
}

INSTANTIATE_TEST_SUITE_P(Plans, Drain,
                         ::testing::Values(Words{}, Words{"-dp", "2"}, Words{"-pp", "2"}));

TEST(SignalWhileItStarts, LeavesNothingBehind) {
  Job job(150);
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    const auto running = job.start(plan);
    Job::await(*running, [&] { return job.journal_bytes() > 0; });
    send_signal(running->pid(), SIGTERM);
    const int code = running->wait().exit_code;
    EXPECT_TRUE(code == 5 || code == 128 + SIGTERM) << code;
    EXPECT_TRUE(running->nothing_left());
  }
  EXPECT_EQ(job.run({"-dp", "2"}).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
