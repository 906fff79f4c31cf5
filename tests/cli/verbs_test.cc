// The program's manners: help, mistakes, streams, and the verbs that load no model.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "program.h"
#include "trireme/engine.h"

namespace trireme::testing {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

TEST(Help, OfEveryVerb) {
  const Outcome all = trireme({"help"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_EQ(all.err, "");
  for (const char* verb : {"run", "batch", "score", "plan", "launch", "config", "env", "test",
                           "estimate-memory", "doctor", "bench"}) {
    EXPECT_TRUE(contains(all.out, std::string("  ") + verb)) << verb;
    const Outcome one = trireme({"help", verb});
    EXPECT_EQ(one.exit_code, 0) << one.err;
    EXPECT_EQ(one.err, "");
    EXPECT_TRUE(contains(one.out, "Examples:")) << verb;
    EXPECT_TRUE(contains(one.out, "Exit codes:")) << verb;
    EXPECT_EQ(trireme({verb, "--help"}).out, one.out);
  }
}

TEST(Help, Version) {
  const Outcome outcome = trireme({"--version"});
  EXPECT_EQ(outcome.out, "trireme " + std::string(version()) + "\n");
  EXPECT_EQ(outcome.exit_code, 0);
}

TEST(Mistakes, AreUsageErrorsWithAHint) {
  const auto mistake = [](const Words& words, const std::string& hint) {
    const Outcome outcome = trireme(words);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(contains(outcome.err, hint)) << outcome.err;
  };
  mistake({}, "name a verb");
  mistake({"scor"}, "did you mean score?");
  mistake({"--model", "x"}, "name a verb first");
  mistake({"help", "rnu"}, "did you mean run?");
  mistake({"run", "--modle", llama(), "x"}, "did you mean --model?");
  mistake({"run", "x"}, "--model");
  mistake({"launch", "-n", "2"}, "name a program");
  mistake({"launch", "--num_proceses", "2", "ls"}, "did you mean --num_processes?");
  mistake({"score", "-m", llama()}, "--input");
  mistake({"run", "-m", llama(), "-tp", "9", "x"}, "at most 8");
  mistake({"run", "-m", llama(), "-pp", "9", "x"}, "at most 8 stages");
  mistake({"run", "-m", llama(), "--max-model-len", "99999", "x"}, "1024");
}

TEST(Mistakes, UnusableModels) {
  const TemporaryFolder folder;
  const auto code = [&](const std::string& model) {
    const Outcome outcome = trireme({"run", "-m", model, "x", "-tp", "2"});
    EXPECT_TRUE(contains(outcome.err, model)) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.exit_code;
  };
  EXPECT_EQ(code("no/such/model/at/all"), 1);
  EXPECT_EQ(code(folder.path()), 1);
  write_file(folder / "config.json", "{\"architectures\": [\"UnheardOf\"]}");
  EXPECT_EQ(code(folder.path()), 1);
  write_file(folder / "config.json", read_file(llama() + "/config.json"));
  write_file(folder / "model.safetensors", "garbage");
  EXPECT_EQ(code(folder.path()), 1);
}

TEST(Colours, NeverOffATerminal) {
  for (const auto& env : {std::map<std::string, std::string>{{"NO_COLOR", "1"}}, {}}) {
    EXPECT_FALSE(contains(trireme({"run", "-m", "nosuch", "x"}, "", env).err, "\033"));
    EXPECT_FALSE(contains(trireme({"plan", "-m", llama(), "--no-speed"}, "", env).out, "\033"));
    EXPECT_FALSE(contains(trireme({"doctor"}, "", env).out, "\033"));
  }
}

TEST(Colours, NoColorIsPlainAscii) {
  const std::string text =
      trireme({"plan", "-m", llama(), "--no-speed"}, "", {{"NO_COLOR", "1"}, {"LANG", "C.UTF-8"}})
          .out;
  for (const char c : text) ASSERT_GE(static_cast<signed char>(c), 0);
  EXPECT_TRUE(contains(text, "###") || contains(text, "==="));
}

TEST(Plan, ReadsHeadersOnlyAndIsQuick) {
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = trireme({"plan", "-m", llama(), "-dp", "2", "-tp", "2", "-pp", "2"});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(contains(outcome.out, "8 ranks")) << outcome.out;
  EXPECT_LT(taken.count(), 5) << "a second, on a machine with nothing else to do";
}

TEST(Plan, JsonForPrograms) {
  const Outcome outcome = trireme({"plan", "-m", llama(), "-tp", "3", "--json", "--no-speed"});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["ranks"].size(), 3u);
  EXPECT_EQ(json["fits"], true);
  EXPECT_EQ(json["ranks"][1]["key_value_heads"], nlohmann::json::array({0, 2}));
}

TEST(Plan, HelpSaysThatSpeedIsForetold) {
  EXPECT_TRUE(contains(trireme({"plan", "--help"}).out, "how fast it would be"));
  EXPECT_TRUE(contains(trireme({"--help"}).out, "how fast"));
}

TEST(Plan, RefusesWhatCannotFit) {
  const Outcome outcome = trireme({"plan", "-m", llama(), "--host-memory", "100M", "--no-speed",
                                   "--kv-cache-memory", "1G", "--max-num-seqs", "4000"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_TRUE(contains(outcome.err, "--kv-cache-memory ")) << outcome.err;
  EXPECT_EQ(trireme({"plan", "-m", llama(), "-tp", "9"}).exit_code, 2);
}

TEST(Plan, RunRefusesBeforeLoading) {
  const TemporaryFolder folder;
  write_huge_model(folder);
  const Outcome outcome = trireme({"run", "-m", folder.path(), "--load-format", "dummy", "x"});
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "does not fit in memory")) << outcome.err;
}

TEST(Doctor, LooksAtEverything) {
  const Outcome outcome = trireme({"doctor", "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["usable"], true);
  std::string names;
  for (const auto& finding : json["findings"]) names += finding["name"].get<std::string>() + ",";
  for (const char* name : {"cores", "AVX2", "AVX-512", "AMX", "memory", "NUMA", "NVIDIA", "mpirun",
                           "memfd", "trireme", "compiler"}) {
    EXPECT_TRUE(contains(names, name)) << name << " in " << names;
  }
}

}  // namespace
}  // namespace trireme::testing
