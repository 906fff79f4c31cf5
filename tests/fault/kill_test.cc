// kill -9, of everything, at random moments and again and again: the bytes that come out in the end
// are those of a run that nothing disturbs.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "fault/job.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string name_of(const Words& plan) {
  std::string name;
  for (const std::string& word : plan) {
    if (word[0] != '-') name += word + "_";
    if (word[0] == '-') name += word.substr(1);
  }
  return plan.empty() ? "one_rank" : name.substr(0, name.size() - 1);
}

class Kill : public ::testing::TestWithParam<Words> {};

/// Half of the runs die at some time, mostly while they start, the others when they have done some
/// rows. None does more than a fraction of the job, so that there is always something left to kill.
TEST_P(Kill, TheWholeProgramThirtyTimes) {
  constexpr int kills = 32;
  Job job(300, {"--max-num-seqs", "2"});  // rows end one by one
  const std::uintmax_t share = job.expected().size() / kills;
  std::mt19937 random(20 + static_cast<unsigned>(GetParam().size()));
  for (int i = 0; i < kills; ++i) {
    const std::uintmax_t enough = job.journal_bytes() + 1 + random() % share;
    const auto running = job.start(GetParam());
    const auto end = Clock::now() + milliseconds(i % 2 == 0 ? random() % 150 : 30000);
    Job::await(*running, [&] { return Clock::now() >= end || job.journal_bytes() >= enough; });
    ASSERT_FALSE(running->ended()) << running->wait().err;
    send_signal(running->pid(), SIGKILL);
    EXPECT_EQ(running->wait().exit_code, 128 + SIGKILL);
    EXPECT_TRUE(running->nothing_left()) << "ranks outlive the program";
  }
  const Outcome last = job.run(GetParam());
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_NE(last.err.find("rows are done already"), std::string::npos) << last.err;
  EXPECT_TRUE(job.complete());
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Plans, Kill,
                         ::testing::Values(Words{}, Words{"-dp", "2"},
                                           Words{"-tp", "2", "-pp", "2"}),
                         [](const auto& param) { return name_of(param.param); });

class KillRank : public ::testing::TestWithParam<Words> {};

TEST_P(KillRank, TheRunGoesOn) {
  Job job(150);
  const std::uintmax_t share = job.expected().size() / 8;
  std::mt19937 random(7);
  const auto running = job.start(GetParam());
  for (int i = 0; i < 3; ++i) {
    if (!job.await_growth(*running, share)) break;
    const std::vector<Running::Rank> ranks = running->ranks();
    ASSERT_FALSE(ranks.empty());
    send_signal(ranks[random() % ranks.size()].pid, SIGKILL);
  }
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("was killed by signal 9"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("starts again"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_TRUE(running->nothing_left());
}

TEST_P(KillRank, IsNoticedWithinASecond) {
  Job job(150);
  job.expected();
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, 1000));
  const std::vector<Running::Rank> ranks = running->ranks();
  ASSERT_FALSE(ranks.empty());
  send_signal(ranks.back().pid, SIGKILL);
  const auto begin = Clock::now();
  ASSERT_TRUE(Job::await(*running, [&] {
    return running->err().find("was killed by signal 9") != std::string::npos;
  })) << "the job was done before";
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(running->wait().exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

/// Ranks that die before they have done anything are not started for ever.
TEST_P(KillRank, AgainAndAgainEndsTheRunResumably) {
  Job job(60);
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, 200));
  Job::await(*running, [&] {
    for (const Running::Rank& rank : running->ranks()) send_signal(rank.pid, SIGKILL);
    return false;
  });
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  for (const char* const part : {"without any row answered in between", "no replica is left"}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  }
  EXPECT_NE(outcome.err.find("the same command goes on"), std::string::npos) << outcome.err;
  EXPECT_TRUE(running->nothing_left());
  EXPECT_FALSE(std::filesystem::exists(job.output())) << "a part must not look like the whole";
  EXPECT_EQ(job.run(GetParam()).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Plans, KillRank,
                         ::testing::Values(Words{}, Words{"-dp", "2"},
                                           Words{"-dp", "2", "-tp", "2"}, Words{"-tp", "2"},
                                           Words{"-pp", "2"}),
                         [](const auto& param) { return name_of(param.param); });

/// What a rank's --stats say of how much of the checkpoint it has read, by replica.
std::map<int, long> bytes_read(const std::string& err) {
  std::map<int, long> out;
  const std::string replica = "\"replica\": ", bytes = "\"checkpoint_bytes_read\": ";
  for (std::size_t at = err.find(replica); at != std::string::npos;
       at = err.find(replica, at + 1)) {
    out[std::stoi(err.substr(at + replica.size()))] =
        std::stol(err.substr(err.find(bytes, at) + bytes.size()));
  }
  return out;
}

/// The launcher keeps the packed weights that replicas share.
TEST(KillRankOfTwoReplicas, WhichStartsAgainWithoutReadingTheWeights) {
  Job job(250, {"--stats", "--max-num-seqs", "2"});
  job.expected();
  const auto running = job.start({"-dp", "2"});
  ASSERT_TRUE(job.await_growth(*running, 1000));
  const std::vector<Running::Rank> ranks = running->ranks();
  const auto second = std::find_if(ranks.begin(), ranks.end(),
                                   [](const Running::Rank& rank) { return rank.replica == 1; });
  ASSERT_NE(second, ranks.end());
  send_signal(second->pid, SIGKILL);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::map<int, long> read = bytes_read(outcome.err);
  ASSERT_TRUE(read.contains(1)) << outcome.err;
  EXPECT_EQ(read.at(1), 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
}

/// From the last row on: while the output is put in order and takes its name, and the journal goes.
TEST(KillAtTheEnd, WhileTheOutputIsCompleted) {
  Job job(12);
  job.expected();
  std::mt19937 random(3);
  for (int i = 0; i < 10; ++i) {
    const auto running = job.start({});
    Job::await(*running, [&] { return std::filesystem::exists(job.output() + ".partial"); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    send_signal(running->pid(), SIGKILL);
    running->wait();
    if (!job.complete()) {
      EXPECT_EQ(job.run({}).exit_code, 0);
    }
    EXPECT_TRUE(job.complete());
    EXPECT_TRUE(job.written() == job.expected());
    job.forget_output();
  }
}

/// The last rows are done by one replica while the other, killed and started again, does not get
/// ready.
TEST(KillAtTheEnd, NobodyWaitsForItsReturn) {
  Job job(100);
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"-dp", "2"});
  ASSERT_TRUE(job.await_growth(*running, some));
  const auto second = [&]() -> pid_t {
    for (const Running::Rank& rank : running->ranks()) {
      if (rank.replica == 1) return rank.pid;
    }
    return 0;
  };
  const pid_t killed = second();
  ASSERT_GT(killed, 1);
  send_signal(killed, SIGKILL);
  pid_t again = 0;
  Job::await(*running, [&] { return (again = second()) > 1 && again != killed; });
  if (again > 1 && again != killed) send_signal(again, SIGSTOP);  // else the job was done already
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_TRUE(running->nothing_left());
}

}  // namespace
}  // namespace trireme::testing
