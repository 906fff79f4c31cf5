// Ranks on two hosts whose cable is pulled: both sides notice within --peer-timeout and end, and
// the same command goes on once it is plugged in.
#include <gtest/gtest.h>

#include <chrono>

#include "fault/job.h"
#include "fault/two_hosts.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;

class Cable : public ::testing::TestWithParam<Words> {
 protected:
  /// Both ranks, each started on its host as Accelerate's users do.
  struct Ranks {
    std::unique_ptr<Running> first, second;
  };
  Ranks start(const Job& job, const Words& plan) const {
    const auto on = [&](const std::string& host, const char* number) {
      Words words = TwoHosts::in(host);
      words.insert(words.end(),
                   {trireme_program(), "launch", "--num_machines", "2", "--num_processes", "2",
                    "--machine_rank", number, "--main_process_ip", TwoHosts::address,
                    "--main_process_port", "29517", "--"});
      return job.start(plan, words);
    };
    return {on(hosts_.here, "0"), on(hosts_.there, "1")};
  }

  TwoHosts hosts_;
};

TEST_P(Cable, PulledEndsTheJobWhichResumes) {
  if (!hosts_.made()) GTEST_SKIP() << "SKIP: network namespaces need root and iproute2";
  Job job(250, {"--peer-timeout", "3", "--max-num-seqs", "2"},
          {{"TRIREME_SECRET", "a secret of these tests"}});
  const std::uintmax_t some = job.expected().size() / 8;
  {
    const Ranks ranks = start(job, GetParam());
    ASSERT_TRUE(job.await_growth(*ranks.first, some)) << ranks.first->err() << ranks.second->err();
    hosts_.pull_the_cable();
    const auto begin = Clock::now();
    const Outcome first = ranks.first->wait();
    const Outcome second = ranks.second->wait();
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10)) << first.err << second.err;
    EXPECT_EQ(first.exit_code, 5) << first.err;
    EXPECT_EQ(second.exit_code, 5) << second.err;
    EXPECT_NE(first.err.find("rank 1 hangs: no sign of life for 3 s"), std::string::npos)
        << first.err;
    EXPECT_FALSE(std::filesystem::exists(job.output()));
  }
  hosts_.plug_it_in();
  const Ranks ranks = start(job, GetParam());
  const Outcome first = ranks.first->wait();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(ranks.second->wait().exit_code, 0);
  EXPECT_NE(first.err.find("rows are done already"), std::string::npos) << first.err;
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Plans, Cable,
                         ::testing::Values(Words{"-dp", "2"}, Words{"-tp", "2"},
                                           Words{"-pp", "2"}));

}  // namespace
}  // namespace trireme::testing
