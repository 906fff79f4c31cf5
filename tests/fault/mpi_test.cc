// Over MPI a dead rank ends the whole job, soon and with an error; the same command resumes it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

const Words mpirun{"mpirun", "--oversubscribe", "-n", "2"};

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
      GTEST_SKIP() << "SKIP: mpirun is not installed";
    }
  }

  static pid_t rank_of(const Running& running, int wanted) {
    for (const Running::Rank& rank : running.ranks()) {
      if (rank.rank == wanted) return rank.pid;
    }
    return -1;
  }

  /// Kills one rank of a job at work. What it leaves must be resumable, unless the other rank has
  /// just done the last row.
  static void kill_rank(const Words& plan, int victim) {
    Job job(rows);
    const std::uintmax_t some = job.expected().size() / 4;
    const auto running = job.start(plan, mpirun);
    ASSERT_TRUE(job.await_growth(*running, some));
    const pid_t pid = rank_of(*running, victim);
    ASSERT_GT(pid, 0);
    send_signal(pid, SIGKILL);
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = running->wait();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    EXPECT_NE(outcome.exit_code, 0) << outcome.err;
    EXPECT_LT(taken.count(), 15) << "the job ends soon";
    EXPECT_TRUE(running->nothing_left());
    if (!job.complete()) resume(job, plan);
    EXPECT_TRUE(job.written() == job.expected());
  }

  static void resume(const Job& job, const Words& plan) {
    const Outcome resumed = job.start(plan, mpirun)->wait();
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  }

  static constexpr int rows = 250;
};

TEST_F(Mpi, AKilledFirstReplicaEndsTheJobWhichResumes) { kill_rank({"-dp", "2"}, 0); }
TEST_F(Mpi, AKilledSecondReplicaEndsTheJobWhichResumes) { kill_rank({"-dp", "2"}, 1); }
TEST_F(Mpi, AKilledTensorRankEndsTheJobWhichResumes) { kill_rank({"-tp", "2"}, 1); }

TEST_F(Mpi, ASignalToRankZeroEndsTheJobResumably) {
  Job job(rows, {"--max-num-seqs", "4"});  // or the rows at work would be all that are left
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"-dp", "2"}, mpirun);
  ASSERT_TRUE(job.await_growth(*running, some));
  send_signal(rank_of(*running, 0), SIGTERM);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("the same command goes on"), std::string::npos) << outcome.err;
  resume(job, {"-dp", "2"});
  EXPECT_TRUE(job.written() == job.expected());
}

TEST_F(Mpi, AFullDiskIsToldByRankZero) {
  Job job(rows);
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"-dp", "2"}, mpirun);
  ASSERT_TRUE(job.await_growth(*running, some));
  const rlimit limit{job.journal_bytes() + 700, RLIM_INFINITY};
  ASSERT_EQ(prlimit(rank_of(*running, 0), RLIMIT_FSIZE, &limit, nullptr), 0);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("out.jsonl.trireme-journal: cannot write"), std::string::npos)
      << outcome.err;
  resume(job, {"-dp", "2"});
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
