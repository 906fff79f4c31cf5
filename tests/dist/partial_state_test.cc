// PartialState with real processes, however they are started.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "support/run_program.h"
#include "support/unused_port.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

const std::string worker = std::string(TRIREME_BINARY_DIR) + "/partial_state_worker";
const std::string source = TRIREME_SOURCE_DIR;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

Outcome launched(int processes, const Words& words) {
  Words all{"launch", "-n", std::to_string(processes), "--", worker};
  all.insert(all.end(), words.begin(), words.end());
  return run(trireme_program(), all);
}

Outcome under_mpi(int processes, const Words& words) {
  Words all{"--oversubscribe", "-n", std::to_string(processes), worker};
  all.insert(all.end(), words.begin(), words.end());
  return run("mpirun", all,
             {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}});
}

bool mpi_is_here() {
  return std::filesystem::exists(std::string(TRIREME_BINARY_DIR) + "/libtrireme_mpi.so") &&
         run("mpirun", {"--version"}).exit_code == 0;
}

std::map<std::string, std::string> variables(int rank, int size, int port) {
  return {{"RANK", std::to_string(rank)},       {"WORLD_SIZE", std::to_string(size)},
          {"LOCAL_RANK", std::to_string(rank)}, {"LOCAL_WORLD_SIZE", std::to_string(size)},
          {"MASTER_ADDR", "127.0.0.1"},         {"MASTER_PORT", std::to_string(port)},
          {"TRIREME_RENDEZVOUS_SECONDS", "60"}};
}

/// As torchrun does: a process each, with variables; nobody watches over them.
std::vector<Outcome> by_variables(int processes, const Words& words) {
  const int port = test::unused_port();
  std::vector<Outcome> outcomes(static_cast<std::size_t>(processes));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < processes; ++rank) {
    threads.emplace_back([&, rank] {
      outcomes[static_cast<std::size_t>(rank)] =
          run(worker, words, variables(rank, processes, port));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

class Processes : public ::testing::TestWithParam<int> {};

TEST_P(Processes, ResultsAreCompleteForEveryCountOfItems) {
  const Outcome outcome = launched(GetParam(), {"properties", "64"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(PartialState, Processes, ::testing::Range(1, 9));

TEST(PartialState, DoesWhatAccelerateDoes) {
  for (int processes = 1; processes <= 4; ++processes) {
    const Outcome outcome =
        launched(processes, {"golden", source + "/tests/data/golden/accelerate.json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

TEST(PartialState, Manners) {
  for (const int processes : {1, 2, 3}) {
    const Outcome outcome = launched(processes, {"manners"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    for (const char* const word : {"once\n", "main\n", "last\n"}) {
      EXPECT_EQ(outcome.out.find(word), outcome.out.rfind(word)) << outcome.out;
      EXPECT_TRUE(contains(outcome.out, word)) << outcome.out;
    }
  }
}

TEST(PartialState, FindsItsLauncher) {
  EXPECT_EQ(run(worker, {"place"}).out, "process 0 of 1, local 0, single\n");
  EXPECT_TRUE(contains(launched(2, {"place"}).out, "process 1 of 2, local 1, shm\n"));
  EXPECT_EQ(by_variables(3, {"place"})[2].out, "process 2 of 3, local 2, shm\n");
  if (mpi_is_here()) {
    EXPECT_TRUE(contains(under_mpi(2, {"place"}).out, "process 1 of 2, local 1, mpi\n"));
  }
}

TEST(PartialState, WorksUnderMpi) {
  if (!mpi_is_here()) GTEST_SKIP() << "there is no MPI here";
  for (const Words& words : {Words{"properties", "9"}, Words{"manners"}, Words{"differ", "call"}}) {
    const Outcome outcome = under_mpi(3, words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

TEST(PartialState, WorksByVariablesAlone) {
  for (const Words& words : {Words{"properties", "9"}, Words{"manners"}, Words{"differ", "call"}}) {
    for (const Outcome& outcome : by_variables(3, words)) {
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    }
  }
}

TEST(PartialState, TheFirstProcessIsFirst) {
  const TemporaryFolder folder;
  const Outcome outcome = launched(3, {"first", folder / "file"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(PartialState, SaysWhatProcessesDoDifferently) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"call", "process 0 calls wait_for_everyone while process 1 calls gather"},
      {"kind", "process 0 passes a list of strings, process 1 tensors of int64 [*, 2]"},
      {"shape", "process 0 passes tensors of float32 [*, 2], process 1 tensors of float32 [*, 3]"},
      {"mean", "the mean of int64 [1] is no int64"},
      {"dim", "a tensor int64 [1] has no dimension 1"},
      {"value", "a tensor uint8 [1] cannot hold -1"},
      {"results", "process 0: 1 results for the 2 items"},
      {"first", "process 0: no file"}};
  for (const auto& [how, message] : cases) {
    const Outcome outcome = launched(2, {"differ", how});
    EXPECT_EQ(outcome.exit_code, 0) << how << outcome.err;
    EXPECT_TRUE(contains(outcome.out, message)) << outcome.out;
  }
}

TEST(PartialState, ADeadProcessEndsTheOthersWithinASecond) {
  for (const std::string how : {"kill", "exit", "throw", "leave"}) {
    const std::vector<Outcome> outcomes = by_variables(3, {"die", how});
    for (const int rank : {0, 1}) {
      const Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
      EXPECT_EQ(outcome.exit_code, 5) << how << outcome.err;
      EXPECT_TRUE(contains(outcome.err, "noticed: rank")) << how << outcome.err;
    }
    const Outcome outcome = launched(3, {"die", how});
    EXPECT_NE(outcome.exit_code, 0) << how;
    EXPECT_FALSE(contains(outcome.err, "wrong")) << how << outcome.err;
  }
}

TEST(PartialState, BeingIdleIsNoHang) {
  const Outcome outcome = launched(2, {"idle", "12"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(PartialState, AProcessLeavesOnce) {
  const Outcome outcome = launched(2, {"again"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "has left the other ranks")) << outcome.err;
  EXPECT_EQ(run(worker, {"again"}).exit_code, 0);
}

TEST(PartialState, EnginesOfOneProcessAndOfAll) {
  const std::string model = source + "/demo/llama";
  const Outcome alone = run(worker, {"engines", model});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_FALSE(alone.out.empty());
  const Outcome two = launched(2, {"engines", model});
  EXPECT_EQ(two.exit_code, 0) << two.err;
  EXPECT_EQ(two.out, alone.out);
  for (const Outcome& outcome : by_variables(2, {"engines", model})) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

/// As on two hosts: a launcher on each, and ranks that share no memory.
std::vector<Outcome> on_two_machines(int processes, const Words& words) {
  const int port = test::unused_port();
  std::vector<Outcome> outcomes(2);
  std::vector<std::thread> threads;
  for (int machine = 0; machine < 2; ++machine) {
    threads.emplace_back([&, machine] {
      Words all{"launch",
                "--num_processes=" + std::to_string(processes),
                "--num_machines=2",
                "--machine_rank=" + std::to_string(machine),
                "--main_process_ip=127.0.0.1",
                "--main_process_port=" + std::to_string(port),
                "--",
                worker};
      all.insert(all.end(), words.begin(), words.end());
      outcomes[static_cast<std::size_t>(machine)] =
          run(trireme_program(), all,
              {{"TRIREME_SECRET", "a secret of the test"}, {"TRIREME_RENDEZVOUS_SECONDS", "60"}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

TEST(Machines, ShareOneRun) {
  for (const Words& words : {Words{"properties", "9"}, Words{"manners"}, Words{"differ", "call"},
                             Words{"engines", source + "/demo/llama"}}) {
    for (const Outcome& outcome : on_two_machines(3, words)) {
      EXPECT_EQ(outcome.exit_code, 0) << words[0] << outcome.err;
    }
  }
  const std::vector<Outcome> places = on_two_machines(3, {"place"});
  EXPECT_TRUE(contains(places[0].out, "process 1 of 3, local 1, tcp\n")) << places[0].out;
  EXPECT_EQ(places[1].out, "process 2 of 3, local 0, tcp\n");
}

TEST(Machines, ADeadProcessEndsTheOthersWithinASecond) {
  for (const std::string how : {"kill", "exit", "throw", "leave"}) {
    const std::vector<Outcome> outcomes = on_two_machines(2, {"die", how});
    EXPECT_EQ(outcomes[0].exit_code, 5) << how << outcomes[0].err;
    EXPECT_TRUE(contains(outcomes[0].err, "noticed: rank 1 ")) << how << outcomes[0].err;
  }
}

TEST(Machines, WhatIsMissingIsSaid) {
  const auto launch = [](const Words& words, const std::map<std::string, std::string>& env = {}) {
    Words all{"launch", "-n", "2", "--num_machines", "2", "--machine_rank", "0"};
    all.insert(all.end(), words.begin(), words.end());
    all.push_back("true");
    return run(trireme_program(), all, env).err;
  };
  const Words place{"--main_process_ip", "127.0.0.1", "--main_process_port", "29999"};
  EXPECT_TRUE(contains(launch({}), "--main_process_ip HOST"));
  EXPECT_TRUE(contains(launch(place), "set TRIREME_SECRET"));
}

TEST(Variables, RanksThatDoNotComeAreCounted) {
  auto env = variables(0, 3, 19999);
  env["TRIREME_RENDEZVOUS_SECONDS"] = "1";
  const Outcome first = run(worker, {"place"}, env);
  EXPECT_EQ(first.exit_code, 5);
  EXPECT_TRUE(contains(first.err, "1 of 3 ranks have come to MASTER_ADDR=127.0.0.1")) << first.err;
  env["RANK"] = "1";
  const Outcome other = run(worker, {"place"}, env);
  EXPECT_EQ(other.exit_code, 5);
  EXPECT_TRUE(contains(other.err, "rank 0 has not come to")) << other.err;
}

TEST(Variables, RanksThatDoNotFitAreRefused) {
  std::vector<Outcome> outcomes(2);
  std::thread first([&] { outcomes[0] = run(worker, {"place"}, variables(0, 2, 19998)); });
  outcomes[1] = run(worker, {"place"}, variables(1, 3, 19998));
  first.join();
  for (const Outcome& outcome : outcomes) {
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_TRUE(contains(outcome.err, "rank 1 of 3 to rank 0 of 2")) << outcome.err;
  }
}

TEST(Variables, WithoutAMeetingPointAreRefused) {
  auto env = variables(0, 2, 1);
  env["MASTER_PORT"] = "";
  const Outcome outcome = run(worker, {"place"}, env);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "unset RANK to run one rank")) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
