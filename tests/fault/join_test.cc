// Workers that join a job in the middle, leave it, and are lost in every way: the bytes that come
// out are those of a run that nothing disturbs.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "fault/join_job.h"
#include "support/relay.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

class Join : public ::testing::Test, protected JoinJob {
 protected:
  /// A batch at work whose rows this test gives, and a worker that has joined it.
  void start_both(const Words& batch_flags = {}, const Words& worker_flags = {}) {
    start_batch(batch_flags);
    worker = start_worker(port(), worker_flags);
    ASSERT_TRUE(said(*batch, "w1 is ready for rows")) << batch->err() << worker->err();
  }
  pid_t worker_rank() const {
    const auto ranks = worker->ranks();
    return ranks.empty() ? 0 : ranks[0].pid;
  }
  void expect_done(int exit_code = 0) {
    give_rest();
    const Outcome outcome = batch->wait();
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_TRUE(job.written() == job.expected()) << outcome.err;
    EXPECT_TRUE(batch->nothing_left());
  }

  std::unique_ptr<Running> worker;
};

TEST_F(Join, InTheMiddle) {
  start_both();
  give(150);
  expect_done();
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_said(outcome.err, "the job is done");
  EXPECT_EQ(outcome.err.find("; 0 rows"), std::string::npos) << "it did nothing";
  EXPECT_TRUE(worker->nothing_left());
}

TEST_F(Join, ReplicasOfSeveralRanks) {
  start_both({"-tp", "2"}, {"-dp", "2", "-pp", "2"});
  expect_done();
  EXPECT_EQ(worker->wait().exit_code, 0) << worker->err();
}

TEST_F(Join, SigtermDrainsAndLeaves) {
  start_both();
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  send_signal(worker->pid(), SIGTERM);
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_said(outcome.err, "this worker has left");
  EXPECT_TRUE(worker->nothing_left());
  expect_done();
  expect_said(batch->err(), "worker w1 has left");
  EXPECT_EQ(batch->err().find("is lost"), std::string::npos) << batch->err();
}

TEST_F(Join, TheSecondSignalStopsAtOnce) {
  start_both();
  const pid_t rank = worker_rank();
  ASSERT_GT(rank, 1);
  send_signal(rank, SIGSTOP);  // its rows are never answered
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  send_signal(worker->pid(), SIGINT);
  ASSERT_TRUE(said(*worker, "rows at work are finished first"));
  send_signal(worker->pid(), SIGINT);
  EXPECT_EQ(worker->wait().exit_code, 5) << worker->err();
  EXPECT_TRUE(worker->nothing_left());
  expect_done();
}

TEST_F(Join, LeavesWhenAsked) {
  start_both();
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  const Outcome asked = ask_to_leave("w1");
  EXPECT_EQ(asked.exit_code, 0) << asked.err;
  expect_said(asked.err, "w1 has answered ");
  EXPECT_EQ(worker->wait().exit_code, 0) << worker->err();
  const Outcome again = ask_to_leave("w1");
  EXPECT_EQ(again.exit_code, 1) << again.err;
  expect_said(again.err, "no worker is called w1");
  expect_done();
}

TEST_F(Join, AReplicaOfTheBatchLeavesWhenAsked) {
  start_both({"-dp", "2"});
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  for (const char* const name : {"replica-1", "replica-0"}) {
    const Outcome asked = ask_to_leave(name);
    EXPECT_EQ(asked.exit_code, 0) << asked.err;
    expect_said(asked.err, std::string(name) + " has answered ");
  }
  EXPECT_TRUE(batch->ranks().empty()) << "who joined does the rest";
  expect_done();
}

/// It holds rows: it was stopped before they were given out.
TEST_F(Join, AKilledWorkersRowsGoElsewhereAtOnce) {
  start_both();
  send_signal_to_all(*worker, SIGSTOP);
  give(150);
  ASSERT_TRUE(job.await_growth(*batch, 1000));
  const auto begin = Clock::now();
  send_signal_to_all(*worker, SIGKILL);
  ASSERT_TRUE(said(*batch, "worker w1 is lost")) << batch->err();
  EXPECT_LT(Clock::now() - begin, seconds(1) * patience);
  expect_done();
}

TEST_F(Join, AStoppedWorkerIsLostInTime) {
  start_both({"--peer-timeout", "2"});
  send_signal_to_all(*worker, SIGSTOP);
  const auto begin = Clock::now();
  give(150);
  ASSERT_TRUE(said(*batch, "worker w1 is lost (no sign of life for 2 s)")) << batch->err();
  EXPECT_LT(Clock::now() - begin, seconds(6) * patience);
  expect_done();
}

/// Both ends notice, the rows go elsewhere, and when there is a way again the worker comes back,
/// the model still loaded.
TEST_F(Join, ALinkThatSwallowsEverything) {
  start_batch({"--peer-timeout", "2"});
  Relay relay(port());
  worker = start_worker(relay.port(), {"--peer-timeout", "2"});
  ASSERT_TRUE(said(*batch, "w1 is ready for rows"));
  const pid_t rank = worker_rank();
  relay.stop_forwarding();
  const auto begin = Clock::now();
  give(150);
  ASSERT_TRUE(said(*batch, "worker w1 is lost (no sign of life for 2 s)")) << batch->err();
  ASSERT_TRUE(said(*worker, "no connection to the coordinator")) << worker->err();
  EXPECT_LT(Clock::now() - begin, seconds(6) * patience);
  relay.go_on();
  ASSERT_TRUE(said(*batch, "w1 is ready for rows", 2)) << batch->err() << worker->err();
  EXPECT_EQ(worker_rank(), rank) << "the model was loaded again";
  expect_done();
  EXPECT_EQ(worker->wait().exit_code, 0) << worker->err();
}

TEST_F(Join, ADeadRankOfTheWorkerIsReplaced) {
  start_both();
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 1000));
  send_signal(worker_rank(), SIGKILL);
  ASSERT_TRUE(said(*batch, "worker w1, replica 0: rank 0 was killed by signal 9")) << batch->err();
  ASSERT_TRUE(said(*worker, "starts again"));
  expect_done();
  EXPECT_EQ(worker->wait().exit_code, 0) << worker->err();
}

TEST_F(Join, TheBatchsOwnReplicaMayDie) {
  start_both({"--max-restarts", "0"});
  give(50);
  ASSERT_TRUE(job.await_growth(*batch, 1000));
  ASSERT_FALSE(batch->ranks().empty());
  send_signal(batch->ranks()[0].pid, SIGKILL);
  ASSERT_TRUE(said(*batch, "it is left out"));
  expect_done();
}

/// A row that crashes whoever works on it is convicted wherever it is at work.
TEST_F(Join, ARowThatCrashesItsReplicaBecomesAnErrorRow) {
  job.set_env("TRIREME_TEST_CRASH_ON", "\"row-7\"");
  start_both();
  expect_done(3);
  expect_said(batch->err(), "crashed its replica twice");
  expect_said(job.written(), "\"crashed\"");
}

TEST_F(Join, TheCoordinatorIsGone) {
  start_both({}, {"--reconnect-for", "1"});
  send_signal(batch->pid(), SIGKILL);
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  expect_said(outcome.err, "no coordinator at");
  EXPECT_TRUE(worker->nothing_left());
}

TEST_F(Join, TheBatchIsStopped) {
  start_both();
  give(50);
  send_signal(batch->pid(), SIGTERM);
  EXPECT_EQ(batch->wait().exit_code, 5) << batch->err();
  EXPECT_EQ(worker->wait().exit_code, 5) << worker->err();
  expect_said(worker->err(), "stopped before it was done");
}

/// Writing a large output takes longer than --peer-timeout: nobody waits for it.
TEST_F(Join, AWorkerIsDoneBeforeTheOutputIsWritten) {
  start_batch({}, "0", {"env", "TRIREME_TEST_FAIL_POINT=output.rename.before"});
  worker = start_worker(port(), {"--reconnect-for", "1"});
  ASSERT_TRUE(said(*batch, "w1 is ready for rows")) << batch->err() << worker->err();
  give_rest();
  EXPECT_EQ(batch->wait().exit_code, 128 + SIGKILL) << batch->err();
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_said(outcome.err, "the job is done");
}

TEST_F(Join, WhoAskedAWorkerToLeaveIsToldThatTheJobHasStopped) {
  start_both();
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  send_signal(worker_rank(), SIGSTOP);  // it can never leave
  Running asker({trireme_program(), "worker", "--leave", "w1", "--at",
                 "127.0.0.1:" + std::to_string(port()), "--join-key", key()},
                job.env());
  ASSERT_TRUE(said(*batch, "worker w1 was asked to leave")) << batch->err();
  send_signal(batch->pid(), SIGINT);
  ASSERT_TRUE(said(*batch, "finished first")) << batch->err();
  send_signal(batch->pid(), SIGINT);
  EXPECT_EQ(batch->wait().exit_code, 5) << batch->err();
  const Outcome asked = asker.wait();
  expect_said(asked.err, "the job has stopped before it was done");
  EXPECT_EQ(asked.err.find("answered 0 rows"), std::string::npos) << asked.err;
}

/// Killed and started again, the batch finds its worker again, with the model loaded. What that
/// still had from before belongs to the same rows.
TEST_F(Join, TheBatchComesBack) {
  job.set_verb({"batch", "--max-new-tokens", "24", "--max-num-seqs", "2"});
  start_file_batch("0");
  const int at = port();
  worker = start_worker(at);
  ASSERT_TRUE(said(*batch, "w1 is ready for rows")) << batch->err();
  const pid_t rank = worker_rank();
  ASSERT_TRUE(job.await_growth(*batch, 500));
  send_signal(batch->pid(), SIGKILL);
  batch->wait();
  start_file_batch(std::to_string(at));
  const Outcome outcome = batch->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  const Outcome left = worker->wait();
  EXPECT_EQ(left.exit_code, 0) << left.err;
  expect_said(outcome.err, "worker w1 has joined");
  EXPECT_NE(rank, 0);
  EXPECT_EQ(left.err.find("joining the job", left.err.find("joining the job") + 1),
            std::string::npos)
      << "the model was looked at again: " << left.err;
}

}  // namespace
}  // namespace trireme::testing
