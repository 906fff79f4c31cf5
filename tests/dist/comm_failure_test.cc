// What happens when ranks or their launcher die or hang, with real processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "comm_ranks.h"
#include "core/error.h"
#include "core/shared_once.h"
#include "launch/process.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = LaunchEvent::Kind;

/// Polls until an event of the kind comes; fails the test if it does not.
LaunchEvent next(Launcher& launcher, Kind kind) {
  const auto end = Clock::now() + soon;
  while (Clock::now() < end) {
    for (const LaunchEvent& event : launcher.poll(std::chrono::milliseconds(200))) {
      if (event.kind == kind) return event;
    }
  }
  ADD_FAILURE() << "the event did not come";
  return {};
}

pid_t wait_until_ready(const Notes& notes, int rank) {
  return std::stoi(notes.wait("ready", rank));
}

TEST(RankFailure, AKilledRankIsNamedToItsPeersAtOnce) {
  const Notes notes;
  LaunchSpec spec = workers(notes, 3, {"reduce"});
  spec.sizes.tp = 3;
  Launcher launcher(spec);
  launcher.start();
  for (int rank = 0; rank < 3; ++rank) wait_until_ready(notes, rank);
  const auto start = Clock::now();
  kill(wait_until_ready(notes, 1), SIGKILL);
  const LaunchEvent event = next(launcher, Kind::group_finished);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  const std::string reason = "rank 1 (tp 1, pp 0) was killed by signal 9 (Killed)";
  EXPECT_EQ(event.text, reason);
  EXPECT_EQ(event.rank, 1);
  EXPECT_EQ(event.exit_code, 1);
  EXPECT_EQ(event.signal, SIGKILL);
  EXPECT_EQ(notes.read("error", 0), reason);
  EXPECT_EQ(notes.read("error", 2), reason);
}

TEST(RankFailure, AnErrorOfOneRankReachesTheOthersAndDecidesTheExitCode) {
  const Notes notes;
  Launcher launcher(workers(notes, 3, {"fail"}));
  launcher.start();
  testing::internal::CaptureStderr();
  EXPECT_EQ(launcher.wait_all(), 4);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "trireme: rank 2 exited with code 4\n");
  EXPECT_EQ(notes.read("error", 0), "rank 2 failed: no memory left");
  EXPECT_EQ(notes.read("error", 2), "no memory left");
}

TEST(RankFailure, ARankThatDoesNotConnectHangsWhereItMust) {
  LaunchSpec spec;
  spec.program = "sleep";
  spec.arguments = {"60"};
  spec.hang_after = std::chrono::seconds(1);
  {
    Launcher launcher(spec);
    launcher.start();
    EXPECT_TRUE(launcher.poll(std::chrono::milliseconds(2500)).empty()) << "it is no rank";
  }
  spec.must_connect = true;
  Launcher launcher(spec);
  launcher.start();
  EXPECT_NE(next(launcher, Kind::rank_hung).text.find("rank 0 hangs"), std::string::npos);
  EXPECT_EQ(next(launcher, Kind::group_finished).signal, SIGKILL);
}

TEST(RankFailure, AStoppedRankCountsAsDead) {
  const Notes notes;
  LaunchSpec spec = workers(notes, 2, {"reduce"});
  spec.hang_after = std::chrono::seconds(3);
  Launcher launcher(spec);
  launcher.start();
  wait_until_ready(notes, 1);
  kill(wait_until_ready(notes, 0), SIGSTOP);
  const LaunchEvent hung = next(launcher, Kind::rank_hung);
  EXPECT_EQ(hung.rank, 0);
  EXPECT_NE(hung.text.find("rank 0 hangs: no sign of life for"), std::string::npos) << hung.text;
  const LaunchEvent finished = next(launcher, Kind::group_finished);
  EXPECT_EQ(finished.text, hung.text);
  EXPECT_EQ(notes.read("error", 1), hung.text);
}

TEST(RankFailure, ALongComputationIsNoHang) {
  const Notes notes;
  LaunchSpec spec = workers(notes, 2, {"compute", "4000"});
  spec.hang_after = std::chrono::milliseconds(1500);
  Launcher launcher(spec);
  launcher.start();
  EXPECT_EQ(launcher.wait_all(), 0);
}

TEST(RankFailure, AnEndlessComputationIsOne) {
  const Notes notes;
  LaunchSpec spec = workers(notes, 2, {"compute", "60000"});
  spec.hang_after = std::chrono::seconds(1);
  spec.busy_hang_after = std::chrono::seconds(4);
  Launcher launcher(spec);
  launcher.start();
  next(launcher, Kind::rank_hung);
  next(launcher, Kind::group_finished);
}

TEST(RankFailure, OneReplicaIsStartedAgainWhileTheOtherGoesOn) {
  const Notes notes;
  LaunchSpec spec = workers(notes, 2, {"echo"});
  spec.groups = 2;
  spec.control = true;
  Launcher launcher(spec);
  launcher.start();
  const auto answer = [&](int group, const std::string& text) {
    launcher.control(group).send(text);
    return launcher.control(group).receive();
  };
  EXPECT_EQ(answer(0, "a"), "echo a");
  EXPECT_EQ(answer(1, "b"), "echo b");
  launcher.kill_group(1, "replica 1 was told to go");
  const LaunchEvent event = next(launcher, Kind::group_finished);
  EXPECT_EQ(event.group, 1);
  EXPECT_EQ(event.text, "replica 1 was told to go");
  EXPECT_EQ(launcher.control(1).receive(), std::nullopt);
  EXPECT_EQ(answer(0, "c"), "echo c");
  launcher.restart_group(1);
  EXPECT_EQ(answer(1, "d"), "echo d");
  const std::string large(5 << 20, 'x');
  EXPECT_EQ(answer(0, large), "echo " + large);
}

TEST(RankFailure, NoRankOutlivesItsLauncher) {
  const Notes notes;
  ProcessSpec spec;
  spec.program = TRIREME_BINARY_DIR "/comm_worker";
  spec.argv = {spec.program, "launch", "3", "reduce"};
  spec.env["TRIREME_TEST_NOTES"] = notes.folder();
  std::optional<Process> launcher = Process::start(spec);
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < 3; ++rank) ranks.push_back(wait_until_ready(notes, rank));
  for (const pid_t rank : ranks) EXPECT_TRUE(process_lives(rank));
  launcher.reset();  // kills it with SIGKILL
  const auto end = Clock::now() + soon;
  for (const pid_t rank : ranks) {
    while (process_lives(rank) && Clock::now() < end) usleep(1000);
    EXPECT_FALSE(process_lives(rank));
  }
}

TEST(Supervise, PassesSignalsOn) {
  for (const char* const mode : {"reduce", "sleep"}) {
    const Notes notes;
    ProcessSpec spec;
    spec.program = TRIREME_BINARY_DIR "/comm_worker";
    spec.argv = {spec.program, "launch", "2", mode};
    spec.env["TRIREME_TEST_NOTES"] = notes.folder();
    Process launcher = Process::start(spec);
    const pid_t rank = wait_until_ready(notes, 1);
    launcher.signal(SIGTERM);
    const auto end = Clock::now() + soon;
    while (!launcher.status() && Clock::now() < end) usleep(1000);
    ASSERT_TRUE(launcher.status().has_value());
    EXPECT_EQ(launcher.status()->code, 1);
    EXPECT_EQ(launcher.status()->signal, 0);
    EXPECT_FALSE(process_lives(rank));
  }
}

TEST(Supervise, ReturnsTheExitCodeAndPrefixesOutput) {
  const Notes notes;
  Launcher good(workers(notes, 2, {"exit", "0"}));
  good.start();
  EXPECT_EQ(good.wait_all(), 0);
  Launcher failing(workers(notes, 2, {"exit", "7"}));
  failing.start();
  EXPECT_EQ(failing.wait_all(), 7);

  LaunchSpec spec = workers(notes, 2, {"print"});
  spec.prefix_output = true;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Launcher printing(spec);
  printing.start();
  EXPECT_EQ(printing.wait_all(), 0);
  const std::string out = testing::internal::GetCapturedStdout();
  const std::string err = testing::internal::GetCapturedStderr();
  for (const char* const line : {"[rank 0] one\n", "[rank 0] two of 0\n", "[rank 1] two of 1\n"}) {
    EXPECT_NE(out.find(line), std::string::npos) << out;
  }
  EXPECT_NE(err.find("[rank 1] to stderr\n"), std::string::npos) << err;
}

TEST(Launcher, SaysWhyAProgramCannotRun) {
  LaunchSpec spec;
  spec.program = "no-such-program-anywhere";
  Launcher launcher(spec);
  try {
    launcher.start();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot run no-such-program-anywhere: No such file or directory");
  }
}

/// Memory for weights, inherited by every rank.
LaunchSpec sharing(const Notes& notes, int memory, const std::string& dies) {
  LaunchSpec spec = workers(notes, 1, {"once", dies});
  spec.groups = 3;
  spec.fds = {{{"TRIREME_WEIGHTS_FD", memory}}};
  return spec;
}

TEST(SharedWeights, AreFilledByOneReplica) {
  const Notes notes;
  const int memory = SharedOnce::create_memory("test");
  Launcher launcher(sharing(notes, memory, "none"));
  launcher.start();
  EXPECT_EQ(launcher.wait_all(), 0);
  EXPECT_EQ(notes.count("filled"), 1);
  EXPECT_EQ(notes.count("shared"), 2);
  close(memory);
}

TEST(SharedWeights, AreFilledByAnotherWhenTheFirstDies) {
  const Notes notes;
  const int memory = SharedOnce::create_memory("test");
  LaunchSpec spec = sharing(notes, memory, "0");
  // Replica 0 must be the first to try.
  Launcher first([&] {
    LaunchSpec alone = spec;
    alone.groups = 1;
    return alone;
  }());
  first.start();
  testing::internal::CaptureStderr();
  EXPECT_EQ(first.wait_all(), 1);
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(notes.count("filling"), 1);
  spec.arguments = {"once", "none"};
  Launcher others(spec);
  others.start();
  EXPECT_EQ(others.wait_all(), 0);
  EXPECT_EQ(notes.count("filled"), 1);
  EXPECT_EQ(notes.count("shared"), 2);
  close(memory);
}

}  // namespace
}  // namespace trireme
