// Device maps through the whole program: the same text whoever holds what, on disk or not.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/run_program.h"
#include "support/scratch.h"

namespace trireme::testing {
namespace {

const std::string model = std::string(TRIREME_SOURCE_DIR) + "/demo/llama";

class DeviceMaps : public ::testing::Test {
 protected:
  Outcome text(std::vector<std::string> flags) const {
    std::vector<std::string> arguments{"run", "--model", model, "ROMEO:",        "-n",
                                       "20",  "--seed",  "1",   "--temperature", "0.8"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return run(trireme_program(), arguments);
  }
  void expect_same(const std::vector<std::string>& flags) const {
    const Outcome outcome = text(flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, alone_.out);
  }

  Scratch scratch_;
  Outcome alone_ = text({});
};

TEST_F(DeviceMaps, EveryPolicyWritesTheSameText) {
  for (const char* policy : {"auto", "balanced", "balanced_low_0", "sequential"}) {
    expect_same({"--device-map", policy, "--max-memory", "cpu:0=19MiB,cpu:1=19MiB"});
    expect_same({"--device-map", policy, "--max-memory", "0=40MiB,1=40MiB,2=40MiB"});
  }
}

TEST_F(DeviceMaps, BlocksOnDiskWriteTheSameTextAndLeaveNothing) {
  const std::string folder = (scratch_.path() / "offload").string();
  std::filesystem::create_directories(folder);
  expect_same({"--max-memory", "0=21MiB", "--offload-folder", folder});
  expect_same({"--device-map", R"({"": 0, "model.layers.3": "disk", "model.layers.4": "disk",
               "model.layers.5": "disk", "model.norm": "disk", "lm_head": "disk"})",
               "--offload-folder", folder});
  expect_same({"--device-map", R"({"": 1, "model.embed_tokens": 0, "model.layers.0": 0,
               "model.layers.5": "disk", "model.norm": "disk", "lm_head": "disk"})",
               "--offload-folder", folder});
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(DeviceMaps, ABatchGoesOnUnderAnotherMap) {
  const std::string input = std::string(TRIREME_SOURCE_DIR) + "/demo/prompts.jsonl";
  const auto batch = [&](const std::string& name, const std::vector<std::string>& flags) {
    const std::string out = (scratch_.path() / name).string();
    std::vector<std::string> arguments{"batch", "--model", model, "-i", input,
                                       "-o",    out,       "-n",  "8"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = run(trireme_program(), arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_file(out);
  };
  const std::string wanted = batch("a", {});
  EXPECT_EQ(batch("b", {"--device-map", "auto", "--max-memory", "0=30MiB,1=30MiB"}), wanted);
  EXPECT_EQ(batch("c", {"--max-memory", "0=21MiB", "--offload-folder", scratch_.path().string()}),
            wanted);
}

TEST_F(DeviceMaps, WhatCannotBeIsRefusedBeforeAnythingIsLoaded) {
  const auto refused = [&](std::vector<std::string> flags, int code, const char* part) {
    const Outcome outcome = text(std::move(flags));
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  };
  refused({"--max-memory", "0=5MiB"}, 4, "--max-memory");
  refused({"--device-map", "even"}, 1, "cannot open");
  refused({"--device-map", R"({"model.layers": 0})"}, 2, "no device for model.embed_tokens");
  refused({"--device-map", R"({"": "tpu:0"})"}, 2, "tpu:0");
  refused({"--device-map",
           R"({"": 0, "model.layers.5": "disk", "model.norm": "disk", "lm_head": "disk"})"},
          2, "--offload-folder");
  refused({"--device-map", "auto", "-tp", "2"}, 2, "does not go with");
  refused({"--max-memory", "0:5MiB"}, 2, "DEVICE=BYTES");
  refused({"--device-map",
           R"({"": 0, "model.layers.5": "disk", "model.norm": "disk", "lm_head": "disk"})",
           "--offload-folder", "/no/such/folder"},
          4, "cannot make a file");
}

/// A program started by one that has a map has flags of its own, and warns by itself.
TEST_F(DeviceMaps, AnotherRunsMapInTheEnvironmentDoesNotCount) {
  const std::string own = "env TRIREME_DEVICE_MAP='{\"\": \"tpu:9\"}' TRIREME_WARNINGS_BY=1 ";
  const std::string command =
      trireme_program() + " run --model " + model + " ROMEO: -n 20 --seed 1 --temperature 0.8";
  for (const char* flags : {"", " -tp 2", " --device-map auto --max-memory 0=40MiB,1=40MiB"}) {
    const Outcome outcome = run("/bin/sh", {"-c", own + command + flags});
    EXPECT_EQ(outcome.exit_code, 0) << flags << outcome.err;
    EXPECT_EQ(outcome.out, alone_.out) << flags;
  }
}

TEST_F(DeviceMaps, ThePlanDrawsThem) {
  const Outcome outcome =
      run(trireme_program(), {"plan", "--model", model, "--no-speed", "--max-memory", "0=21MiB",
                              "--offload-folder", scratch_.path().string()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("on cpu:0"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("on disk"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace trireme::testing
