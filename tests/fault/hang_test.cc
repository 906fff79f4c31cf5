// A rank that stands still is noticed within ten seconds, killed and started again.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

TEST(Hang, AStoppedRankIsNoticedAndReplaced) {
  Job job(150);
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"-tp", "2"});
  ASSERT_TRUE(job.await_growth(*running, some));
  for (const Running::Rank& rank : running->ranks()) {
    if (rank.rank == 1) send_signal(rank.pid, SIGSTOP);
  }
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = running->wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_LT(taken.count(), 20) << "ten to notice it, the rest to do the rows";
  EXPECT_NE(outcome.err.find("rank 1 (tp 1, pp 0) hangs"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_TRUE(running->nothing_left());
}

}  // namespace
}  // namespace trireme::testing
