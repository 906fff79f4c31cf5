// Starting programs as Accelerate's users do: launch, config, env, test, estimate-memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "program.h"

namespace trireme::testing {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

/// Without anybody's own settings.
class Starting : public ::testing::Test {
 protected:
  Outcome run_here(const Words& words, const std::string& input = {}) {
    return trireme(words, input,
                   {{"XDG_CONFIG_HOME", folder_ / "config"}, {"HF_HOME", folder_ / "hf"}});
  }
  /// How many processes said "here".
  long started(const Words& words) {
    const Outcome outcome = run_here(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return std::count(outcome.out.begin(), outcome.out.end(), '\n');
  }
  TemporaryFolder folder_;
};

TEST_F(Starting, StartsAsManyAsAskedWhereverThatIsSaid) {
  EXPECT_EQ(started({"launch", "--num_processes", "3", "echo", "here"}), 3);
  EXPECT_EQ(started({"launch", "--num_processes=2", "--", "echo", "here"}), 2);
  const Outcome behind = run_here({"launch", "echo", "here", "--num_processes=2"});
  EXPECT_EQ(behind.out, "here\nhere\n");
  EXPECT_TRUE(contains(behind.err,
                       "taken for launch though behind the program's name: "
                       "--num_processes=2"))
      << behind.err;
  EXPECT_EQ(run_here({"launch", "-n", "1", "--", "echo", "--num_processes=2"}).out,
            "--num_processes=2\n");
}

TEST_F(Starting, HowManyMustBeSaid) {
  const Outcome outcome = run_here({"launch", "echo", "here"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "say how many processes")) << outcome.err;
  EXPECT_EQ(run_here({"launch", "-n", "2", "--num_machines", "2", "--machine_rank", "2", "true"})
                .exit_code,
            2);
}

TEST_F(Starting, ReadsSettings) {
  write_file(folder_ / "settings.json", "{\"num_processes\": 2}");
  EXPECT_EQ(started({"launch", "--config_file", folder_ / "settings.json", "echo", "here"}), 2);
  EXPECT_EQ(started({"launch", "echo", "here", "--config_file", folder_ / "settings.json"}), 2);
  EXPECT_EQ(started({"launch", "--config_file", folder_ / "settings.json", "-n", "3", "echo", "x"}),
            3);
  EXPECT_EQ(run_here({"launch", "--config_file", folder_ / "none", "true"}).exit_code, 1);
}

TEST_F(Starting, ReadsAcceleratesOwnSettingsWhereTheyAre) {
  std::filesystem::create_directories(folder_ / "hf" / "accelerate");
  write_file(folder_ / "hf" / "accelerate" / "default_config.yaml",
             "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 3\n"
             "num_machines: 1\nfsdp_config:\n  fsdp_version: 2\n");
  const Outcome outcome = run_here({"launch", "echo", "here"});
  EXPECT_EQ(outcome.out, "here\nhere\nhere\n") << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "settings from ")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "ignored, since it has no meaning here: fsdp_config"))
      << outcome.err;
}

TEST_F(Starting, AcceleratesFlagsWithoutAMeaningAreNamed) {
  const Outcome outcome = run_here({"launch", "--multi_gpu", "--mixed_precision", "bf16",
                                    "--num_processes", "2", "echo", "here"});
  EXPECT_EQ(outcome.out, "here\nhere\n");
  EXPECT_TRUE(contains(outcome.err, "--mixed_precision: without a meaning here")) << outcome.err;
}

TEST_F(Starting, AHostfileGoesToMpirun) {
  if (run("mpirun", {"--version"}).exit_code != 0) GTEST_SKIP() << "there is no mpirun here";
  write_file(folder_ / "hosts", "localhost slots=4\n");
  const Outcome outcome =
      trireme({"launch", "-n", "2", "--hostfile", folder_ / "hosts", "echo", "x"}, "",
              {{"XDG_CONFIG_HOME", folder_ / "config"},
               {"HF_HOME", folder_ / "hf"},
               {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
               {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}});
  EXPECT_EQ(outcome.out, "x\nx\n") << outcome.err;
}

TEST_F(Starting, ConfigDefaultWritesOnce) {
  const Outcome first = run_here({"config", "default"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  const std::string file = folder_ / "config" / "trireme" / "config.yaml";
  EXPECT_TRUE(contains(read_file(file), "num_processes: 1\n"));
  EXPECT_EQ(started({"launch", "echo", "here"}), 1);
  EXPECT_EQ(run_here({"config", "default"}).exit_code, 2);
}

TEST_F(Starting, ConfigAsks) {
  const std::string file = folder_ / "asked.yaml";
  // machines; processes, after a slip; dtype; model
  const Outcome outcome = run_here({"config", "--config_file", file}, "1\nmany\n2\n\ndemo/llama\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "many: expected a number from 1")) << outcome.err;
  EXPECT_EQ(started({"launch", "--config_file", file, "echo", "here"}), 2);
  // What is there is offered.
  const Outcome again = run_here({"config", "--config_file", file}, "\n\nfloat32\n\n");
  EXPECT_TRUE(contains(again.err, "together [2]")) << again.err;
  EXPECT_TRUE(contains(read_file(file), "dtype: float32\nmodel: demo/llama\n"));
  const Outcome cut = run_here({"config", "--config_file", folder_ / "other"}, "1\n");
  EXPECT_EQ(cut.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
}

TEST_F(Starting, SettingsOfAVerb) {
  const std::string file = folder_ / "settings.yaml";
  write_file(file, "model: " + llama() + "\ntensor_parallel_size: 2\nmax_new_tokens: 4\n");
  const Outcome outcome = run_here({"run", "--config_file", file, "ROMEO:"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, run_here({"run", "-m", llama(), "--max-new-tokens", "4", "ROMEO:"}).out);
}

TEST_F(Starting, Env) {
  write_file(folder_ / "settings.yaml", "num_processes: 7\n");
  const Outcome outcome = run_here({"env", "--config_file", folder_ / "settings.yaml"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* const part : {"- trireme: ", "- Platform: Linux", "num_processes: 7"}) {
    EXPECT_TRUE(contains(outcome.out, part)) << outcome.out;
  }
  EXPECT_TRUE(contains(run_here({"env"}).out, "Not found"));
}

TEST_F(Starting, Test) {
  for (const char* const processes : {"1", "3"}) {
    const Outcome outcome = run_here({"test", "--num_processes", processes});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "all is well")) << outcome.out;
  }
}

TEST_F(Starting, EstimateMemory) {
  const Outcome outcome = run_here({"estimate-memory", llama(), "--dtypes", "float32", "int4"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "\nfloat32 ")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "\nint4 ")) << outcome.out;
  EXPECT_FALSE(contains(outcome.out, "bfloat16")) << outcome.out;
  EXPECT_EQ(run_here({"estimate-memory"}).exit_code, 2);
  EXPECT_EQ(run_here({"estimate-memory", llama(), "--dtypes", "int3"}).exit_code, 2);
}

}  // namespace
}  // namespace trireme::testing
