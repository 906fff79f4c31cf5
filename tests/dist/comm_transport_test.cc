// The collective suite with processes as ranks, over every transport of this machine.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>

#include "comm_ranks.h"
#include "launch/process.h"
#include "support/unused_port.h"

namespace trireme {
namespace {

class ShmRanks : public testing::TestWithParam<int> {};

/// The hash covers every sum: it must not depend on the number of ranks.
std::string hash_of_one_rank() {
  static const std::string hash = [] {
    const Notes notes;
    Launcher launcher(workers(notes, 1, {"suite"}));
    launcher.start();
    launcher.wait_all();
    return notes.wait("hash", 0);
  }();
  return hash;
}

TEST_P(ShmRanks, PassTheCollectiveSuite) {
  const Notes notes;
  Launcher launcher(workers(notes, GetParam(), {"suite"}));
  launcher.start();
  EXPECT_EQ(launcher.wait_all(), 0);
  for (int rank = 0; rank < GetParam(); ++rank) {
    EXPECT_EQ(notes.read("hash", rank).value_or("none"), hash_of_one_rank());
  }
}

TEST(PlanDependentReduction, TurnsTheSuiteRed) {
  for (const int ranks : {1, 2, 3}) {
    const Notes notes;
    LaunchSpec spec = workers(notes, ranks, {"suite"});
    spec.env["TRIREME_TEST_PLAN_DEPENDENT_REDUCTION"] = "1";
    Launcher launcher(spec);
    testing::internal::CaptureStderr();  // the ranks inherit it
    launcher.start();
    const int exit_code = launcher.wait_all();
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(exit_code == 0, ranks == 1) << said;  // one rank has nothing to add up
    EXPECT_EQ(said.find("DEPEND ON THE PLAN") != std::string::npos, ranks > 1) << said;
  }
}

INSTANTIATE_TEST_SUITE_P(Comm, ShmRanks, testing::Values(1, 2, 3, 4, 5));

/// Runs a command; its output and exit status.
std::pair<std::string, int> shell(const std::string& command) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), size);
  }
  return {output, pclose(pipe)};
}

/// Open MPI never frees some of its memory, which a leak checker must not hold against us.
std::string mpirun(int ranks) {
  return "env ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 "
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe "
         "-n " +
         std::to_string(ranks) + " " TRIREME_BINARY_DIR "/comm_worker ";
}

/// Processes with torchrun's variables, as if each were on a host of its own.
class TcpRun {
 public:
  TcpRun(const Notes& notes, int ranks, std::vector<std::string> words,
         const std::map<std::string, std::string>& more = {}) {
    const int port = test::unused_port();
    for (int rank = 0; rank < ranks; ++rank) {
      ProcessSpec spec;
      spec.program = TRIREME_BINARY_DIR "/comm_worker";
      spec.argv = words;
      spec.argv.insert(spec.argv.begin(), spec.program);
      spec.env = {{"RANK", std::to_string(rank)},
                  {"WORLD_SIZE", std::to_string(ranks)},
                  {"LOCAL_RANK", std::to_string(rank)},
                  {"LOCAL_WORLD_SIZE", "1"},
                  {"MASTER_ADDR", "127.0.0.1"},
                  {"MASTER_PORT", std::to_string(port)},
                  {"TRIREME_SECRET", "a secret of the test"},
                  {"TRIREME_RENDEZVOUS_SECONDS", "20"},
                  {"TRIREME_TEST_NOTES", notes.folder()}};
      if (rank == ranks - 1) {
        for (const auto& [name, value] : more) spec.env[name] = value;
      }
      ranks_.push_back(Process::start(spec));
    }
  }
  Process& rank(int rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  int exit_code(int number) {
    const auto end = std::chrono::steady_clock::now() + 2 * soon;
    while (!rank(number).status() && std::chrono::steady_clock::now() < end) usleep(1000);
    return rank(number).status() ? rank(number).status()->code : -1;
  }

 private:
  std::vector<Process> ranks_;
};

class TcpRanks : public testing::TestWithParam<int> {};

TEST_P(TcpRanks, PassTheCollectiveSuite) {
  const Notes notes;
  TcpRun run(notes, GetParam(), {"suite"});
  for (int rank = 0; rank < GetParam(); ++rank) {
    EXPECT_EQ(run.exit_code(rank), 0);
    EXPECT_EQ(notes.read("hash", rank).value_or("none"), hash_of_one_rank());
  }
}

INSTANTIATE_TEST_SUITE_P(Comm, TcpRanks, testing::Values(2, 3, 4, 5));

TEST(TcpRank, ThatIsKilledIsNamedWithinASecond) {
  const Notes notes;
  TcpRun run(notes, 3, {"reduce"});
  for (int rank = 0; rank < 3; ++rank) notes.wait("ready", rank);
  const auto begin = std::chrono::steady_clock::now();
  run.rank(1).signal(SIGKILL);
  EXPECT_EQ(run.exit_code(0), 5);
  EXPECT_EQ(run.exit_code(2), 5);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(notes.read("error", 0), "rank 1 has died");
  EXPECT_EQ(notes.read("error", 2), "rank 1 has died");
}

TEST(TcpRank, ThatIsStoppedIsNamedWithinTenSeconds) {
  const Notes notes;
  TcpRun run(notes, 2, {"reduce"});
  notes.wait("ready", 0);
  run.rank(1).signal(SIGSTOP);
  EXPECT_EQ(run.exit_code(0), 5);
  EXPECT_EQ(notes.read("error", 0), "rank 1 hangs: no sign of life for 10 s");
}

TEST(TcpRank, ThatFailsTellsTheOthersWhy) {
  const Notes notes;
  TcpRun run(notes, 3, {"fail"});
  EXPECT_EQ(run.exit_code(2), 4);
  EXPECT_EQ(run.exit_code(0), 5);
  EXPECT_EQ(run.exit_code(1), 5);
  EXPECT_EQ(notes.read("error", 1), "rank 2 failed: no memory left");
}

TEST(TcpRank, MayComputeForLong) {
  const Notes notes;
  TcpRun run(notes, 2, {"compute", "12000"});
  EXPECT_EQ(run.exit_code(0), 0);
}

TEST(TcpRank, NeedsTheSecret) {
  const Notes notes;
  testing::internal::CaptureStderr();
  TcpRun other(notes, 2, {"suite"},
               {{"TRIREME_SECRET", "another secret here"}, {"TRIREME_RENDEZVOUS_SECONDS", "3"}});
  EXPECT_EQ(other.exit_code(1), 2);
  TcpRun none(notes, 2, {"suite"}, {{"TRIREME_SECRET", "short"}});
  EXPECT_EQ(none.exit_code(1), 2);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("does not know TRIREME_SECRET"), std::string::npos) << said;
  EXPECT_NE(said.find("openssl rand -hex 16"), std::string::npos) << said;
}

class MpiRanks : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (shell("command -v mpirun").second != 0) GTEST_SKIP() << "there is no mpirun here";
    if (!std::filesystem::exists(TRIREME_BINARY_DIR "/libtrireme_mpi.so")) {
      GTEST_SKIP() << "built without MPI (Debian: apt install libopenmpi-dev)";
    }
  }
};

TEST_P(MpiRanks, PassTheCollectiveSuite) {
  const Notes notes;
  setenv("TRIREME_TEST_NOTES", notes.folder().c_str(), 1);
  const auto [output, status] = shell(mpirun(GetParam()) + "suite");
  unsetenv("TRIREME_TEST_NOTES");
  EXPECT_EQ(status, 0) << output;
  EXPECT_NE(output.find("mpi ranks=" + std::to_string(GetParam())), std::string::npos) << output;
  for (int rank = 0; rank < GetParam(); ++rank) {
    EXPECT_EQ(notes.read("hash", rank).value_or("none"), hash_of_one_rank());
  }
}

/// MPI counts bytes in int: what is longer goes in parts. Here everything is.
TEST_P(MpiRanks, PassTheCollectiveSuiteInParts) {
  const auto [output, status] =
      shell("TRIREME_TEST_MPI_MOST_BYTES=100000 timeout 100 " + mpirun(GetParam()) + "suite");
  EXPECT_EQ(status, 0) << output;
  char hash[32];
  std::snprintf(hash, sizeof(hash), "hash=%016llx", std::stoull(hash_of_one_rank()));
  EXPECT_NE(output.find(hash), std::string::npos) << output;
}

/// A long computation says nothing for longer than a hung rank may, but uses the processor.
TEST(MpiRank, IsNotHungWhileItComputes) {
  if (shell("command -v mpirun").second != 0) GTEST_SKIP() << "there is no mpirun here";
  const auto [output, status] = shell("timeout 100 " + mpirun(2) + "compute 13000");
  EXPECT_EQ(status, 0) << output;
}

/// A rank that neither computes nor waits for another one, but rank 0 may wait for a person.
TEST(MpiRank, IsHungWhenItSleeps) {
  if (shell("command -v mpirun").second != 0) GTEST_SKIP() << "there is no mpirun here";
  const auto [output, status] = shell("timeout 100 " + mpirun(2) + "doze 1");
  EXPECT_EQ(WEXITSTATUS(status), 5) << output;
  EXPECT_NE(output.find("rank 1 on "), std::string::npos) << output;
  EXPECT_NE(output.find("hangs: no sign of life"), std::string::npos) << output;
  const auto [output0, status0] = shell("timeout 100 " + mpirun(2) + "doze 0");
  EXPECT_EQ(status0, 0) << output0;
}

/// Who fails by an exception says why before it takes the others along, with its own exit code.
TEST_P(MpiRanks, SayWhyAndHowOneFailed) {
  const auto [output, status] = shell("timeout 100 " + mpirun(GetParam()) + "throw");
  EXPECT_EQ(WEXITSTATUS(status), 4) << output;
  EXPECT_NE(output.find("comm_worker: no memory left"), std::string::npos) << output;
}

TEST_P(MpiRanks, EndTogetherWhenOneFails) {
  const auto [output, status] = shell("timeout 100 " + mpirun(GetParam()) + "fail");
  EXPECT_NE(status, 0);
  EXPECT_NE(WEXITSTATUS(status), 124) << output;  // timeout's own
  EXPECT_NE(output.find("no memory left"), std::string::npos) << output;
}

INSTANTIATE_TEST_SUITE_P(Comm, MpiRanks, testing::Values(1, 2, 3, 4));

TEST(MpiPlugin, SaysWhatToInstallWhenItIsMissing) {
  const auto [output, status] = shell(
      "mkdir -p " TRIREME_BINARY_DIR "/no_plugin && cp " TRIREME_BINARY_DIR
      "/comm_worker " TRIREME_BINARY_DIR "/no_plugin/ && PMI_SIZE=2 PMI_RANK=0 " TRIREME_BINARY_DIR
      "/no_plugin/comm_worker suite");
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("apt install libopenmpi-dev"), std::string::npos) << output;
}

}  // namespace
}  // namespace trireme
