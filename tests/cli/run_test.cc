// `trireme run`.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

namespace trireme::testing {
namespace {

/// Greedy, and short.
Words run_words(const std::string& tokens = "12") {
  return {"run", "-m", llama(), "-n", tokens, "--temperature", "0"};
}

TEST(Run, StreamsTextAndNothingElse) {
  const Outcome outcome = trireme(run_words() + Words{"ROMEO:\n"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_GT(outcome.out.size(), 10u);
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_EQ(outcome.err, "") << "statistics are for terminals";
}

TEST(Run, TheSameBytesUnderEveryPlan) {
  const std::string expected = trireme(run_words() + Words{"ROMEO:\n"}).out;
  for (const Words& plan : {Words{"-tp", "2"},
                            {"-pp2"},
                            {"-tp=2", "-pp=2"},
                            {"--tensor-parallel-size", "3"},
                            {"--pipeline-parallel-size=3", "--threads", "1"},
                            {"--max-num-batched-tokens", "1"}}) {
    const Outcome outcome = trireme(run_words() + plan + Words{"ROMEO:\n"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, expected) << plan[0];
  }
}

TEST(Run, ReadsThePromptFromAPipe) {
  const std::string expected = trireme(run_words() + Words{"ROMEO:"}).out;
  EXPECT_EQ(trireme(run_words(), "ROMEO:\n").out, expected);
  EXPECT_EQ(trireme(run_words() + Words{"-tp", "2"}, "ROMEO:\n").out, expected);
}

TEST(Run, SamplingDependsOnTheSeedAlone) {
  const auto text = [](const Words& more) {
    return trireme(Words{"run", "-m", llama(), "-n", "30", "--temperature", "1", "ROMEO:"} + more)
        .out;
  };
  EXPECT_EQ(text({"--seed", "7"}), text({"--seed", "7", "-tp", "2"}));
  EXPECT_NE(text({"--seed", "7"}), text({"--seed", "8"}));
}

TEST(Run, StopsBeforeAStopString) {
  const std::string whole = trireme(run_words("40") + Words{"ROMEO:\n"}).out;
  ASSERT_GT(whole.size(), 20u);
  const std::string stop = whole.substr(10, 4);
  const Outcome outcome = trireme(run_words("40") + Words{"--stop", stop, "ROMEO:\n"});
  EXPECT_EQ(outcome.out, whole.substr(0, whole.find(stop)) + "\n");
}

TEST(Run, ChatUsesTheTemplate) {
  const Words words = run_words() + Words{"Who art thou?"};
  const Outcome chat = trireme(words + Words{"--chat"});
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_NE(chat.out, trireme(words).out);
  EXPECT_NE(trireme(words + Words{"--chat", "--system", "You are a king."}).out, chat.out);
  EXPECT_EQ(trireme(words + Words{"--system", "x"}).exit_code, 2);
}

TEST(Run, MakesUpWeightsFromConfigAlone) {
  const TemporaryFolder folder;
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy(llama() + "/" + name, folder / name);
  }
  const auto text = [&](const std::string& seed) {
    return trireme({"run", "-m", folder.path(), "--load-format", "dummy", "--seed", seed, "-n", "8",
                    "--temperature", "0", "x"});
  };
  EXPECT_EQ(text("1").exit_code, 0) << text("1").err;
  EXPECT_EQ(text("1").out, text("1").out);
  EXPECT_NE(text("1").out, text("2").out);
}

/// The demo model with a layer less in config.json and beams in generation_config.json.
void write_odd_model(const TemporaryFolder& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(llama() + "/" + name, folder / name);
  }
  nlohmann::json config = nlohmann::json::parse(read_file(llama() + "/config.json"));
  config["num_hidden_layers"] = config["num_hidden_layers"].get<int>() - 1;
  write_file(folder / "config.json", config.dump());
  write_file(folder / "generation_config.json", R"({"num_beams": 4, "max_new_tokens": 2})");
}

int lines_with(const std::string& text, const std::string& part) {
  int count = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) count += line.find(part) != line.npos;
  return count;
}

TEST(Warnings, ComeOncePerRun) {
  const TemporaryFolder folder;
  write_odd_model(folder);
  write_file(folder / "rows.jsonl", "{\"prompt\": \"x\"}\n");
  const Words model{"-m", folder.path()};
  const Words files{"-i", folder / "rows.jsonl", "-o", folder / "out.jsonl", "--overwrite"};
  const auto expect = [](const Words& words, int beams) {
    const Outcome outcome = trireme(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(lines_with(outcome.err, "warning: "), 1 + beams) << outcome.err;
    EXPECT_EQ(lines_with(outcome.err, "num_beams is 4"), beams) << outcome.err;
    EXPECT_EQ(lines_with(outcome.err, "config.json has no use for 9 of"), 1) << outcome.err;
  };
  const Words run = Words{"run", "x"} + model;
  expect(run, 1);
  expect(run + Words{"-tp", "2"}, 1);
  expect(Words{"launch", "-n", "2", "--", trireme_program()} + run + Words{"-tp", "2"}, 1);
  expect(Words{"batch", "-dp", "2"} + model + files, 1);
  expect(Words{"score", "-tp", "2", "-i", folder / "rows.jsonl"} + model, 0);
  expect(Words{"plan", "--no-speed"} + model, 1);
}

TEST(Run, StatisticsOnStandardError) {
  const Outcome outcome = trireme(run_words() + Words{"--stats", "ROMEO:", "-tp", "2"});
  EXPECT_NE(outcome.err.find("12 new tokens"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("2 ranks"), std::string::npos) << outcome.err;
}

TEST(Run, BadRequestsFailClearly) {
  const auto failure = [](const Words& more) { return trireme(run_words() + more); };
  const Outcome too_long = failure({"--max-model-len", "8", std::string(200, 'x')});
  EXPECT_EQ(too_long.exit_code, 1);
  EXPECT_NE(too_long.err.find("--max-model-len"), std::string::npos) << too_long.err;
  EXPECT_EQ(too_long.out, "");
  EXPECT_EQ(failure({"x", "--top-p", "7"}).exit_code, 2);
  EXPECT_EQ(failure({"x", "-dp", "2"}).exit_code, 2);
  EXPECT_EQ(failure({"x", "--isa", "abacus", "-tp", "2"}).exit_code, 2);
  EXPECT_EQ(failure({"\xff\xfe"}).exit_code, 1);
  EXPECT_EQ(failure({"\xff\xfe", "--chat"}).exit_code, 1);
}

}  // namespace
}  // namespace trireme::testing
