// The collective suite with processes as ranks, over every transport of this machine.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

#include "comm_ranks.h"

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
