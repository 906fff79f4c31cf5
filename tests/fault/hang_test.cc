// A rank that stands still is noticed within ten seconds, killed and started again; one that has
// nothing to do is not.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <thread>

#include "fault/job.h"

namespace trireme::testing {
namespace {

/// Stops a rank of a job at work; how the job ends, and after how many seconds.
std::pair<Outcome, double> stop_rank(const Job& job, Running& running, int number) {
  EXPECT_TRUE(job.await_growth(running, 1000));
  for (const Running::Rank& rank : running.ranks()) {
    if (rank.rank == number) send_signal(rank.pid, SIGSTOP);
  }
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = running.wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return {outcome, taken.count()};
}

TEST(Hang, AStoppedRankIsNoticedAndReplaced) {
  Job job(150);
  const auto running = job.start({"-tp", "2"});
  const auto [outcome, seconds] = stop_rank(job, *running, 1);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_LT(seconds, 20) << "ten to notice it, the rest to do the rows";
  EXPECT_NE(outcome.err.find("rank 1 (tp 1, pp 0) hangs"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_TRUE(running->nothing_left());
}

struct Stopped {
  Words plan;
  int replica = 0;
  int rank = 0;
};

void PrintTo(const Stopped& stopped, std::ostream* out) {
  for (const std::string& word : stopped.plan) *out << word << " ";
  *out << "replica " << stopped.replica << ", rank " << stopped.rank;
}

class HangSoon : public ::testing::TestWithParam<Stopped> {};

/// --peer-timeout says how long is waited; the ranks of a replica start again together.
TEST_P(HangSoon, IsNoticedWithinPeerTimeoutWhoeverItIs) {
  const Stopped& stopped = GetParam();
  Job job(150, {"--peer-timeout", "3"});
  const std::uintmax_t some = job.expected().size() / 8;
  const auto running = job.start(stopped.plan);
  ASSERT_TRUE(job.await_growth(*running, some));
  for (const Running::Rank& rank : running->ranks()) {
    if (rank.replica == stopped.replica && rank.rank == stopped.rank) {
      send_signal(rank.pid, SIGSTOP);
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(Job::await(
      *running, [&] { return running->err().find("no sign of life") != std::string::npos; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(6));
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("starts again"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_TRUE(running->nothing_left());
}

INSTANTIATE_TEST_SUITE_P(Plans, HangSoon,
                         ::testing::Values(Stopped{{}, 0, 0}, Stopped{{"-dp", "2"}, 1, 0},
                                           Stopped{{"-tp", "2"}, 0, 0}, Stopped{{"-pp", "2"}, 0, 1},
                                           Stopped{{"-dp", "2", "-tp", "2"}, 1, 1}));

/// Thirteen seconds without a row: beyond what a rank without a sign of life is given.
TEST(Hang, APauseOfTheInputIsNone) {
  Job job(20);
  const std::string rows = read_file(job.input());
  const std::size_t half = rows.find("{\"id\": \"row-10\"");
  const std::size_t answers = job.expected().find("{\"id\":\"row-10\"");
  auto pipe = std::make_unique<Pipe>(job);
  const auto running = job.start({"-dp", "2"});
  pipe->fill(rows.substr(0, half));
  ASSERT_TRUE(Job::await(*running, [&] { return job.journal_bytes() > answers; }));
  const auto pids = [&] {
    std::set<pid_t> out;
    for (const Running::Rank& rank : running->ranks()) out.insert(rank.pid);
    return out;
  };
  const std::set<pid_t> before = pids();
  EXPECT_EQ(before.size(), 2u);
  std::this_thread::sleep_for(std::chrono::seconds(13));
  EXPECT_EQ(pids(), before) << "no rank was started again";
  pipe->fill(rows.substr(half));
  pipe.reset();
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("hangs"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
}

class MpiHang : public ::testing::TestWithParam<int> {};

/// Over MPI the job ends, and the same command resumes it.
TEST_P(MpiHang, AStoppedRankIsNamedAndEndsTheJob) {
  if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "SKIP: mpirun is not installed";
  }
  Job job(250);
  const Words mpirun{"mpirun", "--oversubscribe", "-n", "3"};
  const auto running = job.start({"-tp", "3"}, mpirun);
  const auto [outcome, seconds] = stop_rank(job, *running, GetParam());
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_LT(seconds, 20) << "ten to notice it, the rest to end";
  const std::string name = "rank " + std::to_string(GetParam()) + " on ";
  EXPECT_NE(outcome.err.find(name), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("hangs: no sign of life"), std::string::npos) << outcome.err;
  EXPECT_TRUE(running->nothing_left());
  const Outcome resumed = job.start({"-tp", "3"}, mpirun)->wait();
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(EachRank, MpiHang, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace trireme::testing
