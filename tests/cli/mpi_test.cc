// Verbs as MPI ranks: they agree before they load anything, and what goes wrong is said once.
#include <gtest/gtest.h>

#include "program.h"

namespace trireme::testing {
namespace {

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
      GTEST_SKIP() << "SKIP: mpirun is not installed";
    }
  }

  /// `words` after mpirun; "trireme" is the program.
  static Outcome mpirun(Words words) {
    for (std::string& word : words) {
      if (word == "trireme") word = trireme_program();
    }
    return run("mpirun", Words{"--oversubscribe"} + words,
               {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}});
  }

  /// One message, with all of `parts`, and the exit code.
  static void expect_failure(const Outcome& outcome, int exit_code, const Words& parts) {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    const std::size_t message = outcome.err.find("trireme: error: ");
    ASSERT_NE(message, std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("trireme: error: ", message + 1), std::string::npos) << outcome.err;
    for (const std::string& part : parts) {
      EXPECT_NE(outcome.err.find(part), std::string::npos) << part << " in\n" << outcome.err;
    }
    EXPECT_EQ(outcome.err.find("rank 0: "), std::string::npos) << outcome.err;
  }
};

const Words run_hello{"trireme", "run", "-m", llama(), "-tp", "2", "-n", "4", "hello"};

/// run_hello on two ranks; the second one with another environment or other flags.
Words unlike(const Words& second_env, const Words& second) {
  return Words{"-n", "1"} + run_hello + Words{":", "-n", "1"} + second_env + second;
}

TEST_F(Mpi, AnswersAsOneRankDoes) {
  const Outcome outcome = mpirun(Words{"-n", "2"} + run_hello);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, trireme({"run", "-m", llama(), "-n", "4", "hello"}).out);
}

TEST_F(Mpi, TheRanksMustBeAsManyAsThePlanHas) {
  expect_failure(mpirun(Words{"-n", "3"} + run_hello), 2, {"makes 2 ranks, but 3 are running"});
}

TEST_F(Mpi, APlanThatDoesNotFitIsRefusedByAllOfThem) {
  const TemporaryFolder folder;
  write_huge_model(folder);
  const Outcome outcome = mpirun({"-n", "2", "trireme", "run", "-m", folder.path(), "--load-format",
                                  "dummy", "-tp", "2", "hello"});
  expect_failure(outcome, 4, {"does not fit in memory"});
}

TEST_F(Mpi, OneInstructionSetForAllOrNone) {
  const Words forced{"-x", "TRIREME_ISA=amx-emulated"};
  expect_failure(
      mpirun(unlike(forced, run_hello)), 2,
      {"rank 0 on ", "rank 1 on ", "amx-emulated (given)", "(chosen)", "mpirun -x TRIREME_ISA="});
  expect_failure(mpirun(unlike(forced, run_hello + Words{"--isa", "reference"})), 2,
                 {"reference (given)"});
  const Outcome together = mpirun(Words{"-x", "TRIREME_ISA=reference", "-n", "2"} + run_hello);
  EXPECT_EQ(together.exit_code, 0) << together.err;
}

TEST_F(Mpi, TheSameFlagsForAll) {
  expect_failure(mpirun(unlike({}, run_hello + Words{"--dtype", "bfloat16"})), 2,
                 {"rank 0 on ", "--dtype auto", "rank 1 on ", "--dtype bfloat16"});
}

TEST_F(Mpi, AWrongFlagIsSaidByTheFirstRankOrByTheOneThatHasIt) {
  const Outcome all = mpirun(Words{"-n", "2"} + run_hello + Words{"--modle", "x"});
  EXPECT_EQ(all.exit_code, 2) << all.err;
  EXPECT_NE(all.err.find("rank 0: unknown flag --modle (did you mean --model?)"), std::string::npos)
      << all.err;
  const Outcome one = mpirun(unlike({}, run_hello + Words{"--modle", "x"}));
  EXPECT_EQ(one.exit_code, 2) << one.err;
  EXPECT_NE(one.err.find("rank 1: unknown flag --modle"), std::string::npos) << one.err;
}

TEST_F(Mpi, TheSameModelForAll) {
  const TemporaryFolder folder;
  Words other = run_hello;
  other[3] = folder / "llama";
  expect_failure(mpirun(unlike({}, other)), 1, {"rank 1 on ", folder / "llama"});
  std::filesystem::copy(llama(), folder / "llama");
  write_file(folder / "llama/config.json", read_file(llama() + "/config.json") + "\n");
  expect_failure(mpirun(unlike({}, other)), 1, {"rank 0 on ", "rank 1 on ", "config.json (hash"});
}

TEST_F(Mpi, FilesAreCheckedOnceBeforeTheModelIsLoaded) {
  const TemporaryFolder folder;
  write_file(folder / "rows", "x\n");
  const Words score{"-n",  "2", "trireme", "score",         "-m", llama(),
                    "-dp", "2", "-i",      folder / "rows", "-o", folder / "out"};
  expect_failure(mpirun(score + Words{"--logits", folder / "no/such"}), 1, {"no/such"});
  Words batch = score;
  batch[3] = "batch";
  batch[9] = folder / "missing";
  expect_failure(mpirun(batch), 1, {"missing"});
}

TEST_F(Mpi, WhatFailsLaterIsSaidToo) {
  const TemporaryFolder folder;
  write_file(folder / "rows", "x\n");
  const Outcome outcome = mpirun({"-n", "2", "trireme", "score", "-m", llama(), "-tp", "2", "-i",
                                  folder / "rows", "-o", "/dev/full"});
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("rank 0: /dev/full: cannot be written: No space left"),
            std::string::npos)
      << outcome.err;
}

TEST_F(Mpi, ScoresToTheSameBytes) {
  const TemporaryFolder folder;
  const auto bytes = [&](const Words& before, const Words& plan) {
    const std::string out = folder / "out", logits = folder / "logits";
    const Words score = Words{"score", "-m", llama(),    "-i",  in_tree("demo/prompts.jsonl"),
                              "-o",    out,  "--logits", logits} +
                        plan;
    const Outcome outcome =
        before.empty() ? trireme(score) : mpirun(before + Words{"trireme"} + score);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_file(out) + read_file(logits);
  };
  const std::string expected = bytes({}, {});
  EXPECT_GT(expected.size(), 100000u);
  EXPECT_TRUE(bytes({"-n", "2"}, {"-dp", "2"}) == expected);
  EXPECT_TRUE(bytes({"-n", "4"}, {"-dp", "2", "-pp", "2"}) == expected);
}

}  // namespace
}  // namespace trireme::testing
