// Two hosts, as far as the network can tell: a worker in a network namespace of its own joins over
// a cable, which is then pulled.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "fault/join_job.h"
#include "fault/two_hosts.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;

class JoinOverTheNetwork : public ::testing::Test, protected JoinJob {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIP: network namespaces are root's to make";
    if (!hosts.made()) GTEST_SKIP() << "SKIP: no network namespaces here (iproute2, veth)";
    start_batch({"--peer-timeout", "2"}, "10.79.0.1:0", TwoHosts::in(hosts.here));
    worker = start_worker(port(), {"--peer-timeout", "2"}, "10.79.0.1", TwoHosts::in(hosts.there));
    ASSERT_TRUE(said(*batch, "w1 is ready for rows")) << batch->err() << worker->err();
  }
  void expect_done() {
    give_rest();
    EXPECT_EQ(batch->wait().exit_code, 0) << batch->err();
    EXPECT_TRUE(job.written() == job.expected());
  }
  TwoHosts hosts;
  std::unique_ptr<Running> worker;
};

TEST_F(JoinOverTheNetwork, JoinsAndLeaves) {
  give(100);
  ASSERT_TRUE(job.await_growth(*batch, 2000));
  send_signal_to_all(*worker, SIGTERM);
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_said(outcome.err, "this worker has left");
  EXPECT_EQ(outcome.err.find("; 0 rows"), std::string::npos) << "it did nothing";
  expect_done();
}

TEST_F(JoinOverTheNetwork, APulledCableIsNoticedInTime) {
  hosts.pull_the_cable();
  const auto begin = Clock::now();
  give(150);
  ASSERT_TRUE(said(*batch, "worker w1 is lost (no sign of life for 2 s)")) << batch->err();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(6) * patience);
  ASSERT_TRUE(said(*worker, "no connection to the coordinator")) << worker->err();
  hosts.plug_it_in();
  ASSERT_TRUE(said(*batch, "w1 is ready for rows", 2)) << batch->err() << worker->err();
  expect_done();
  EXPECT_EQ(worker->wait().exit_code, 0) << worker->err();
}

}  // namespace
}  // namespace trireme::testing
