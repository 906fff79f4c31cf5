// GGUF files through every verb, under several plans.
#include <gtest/gtest.h>

#include <algorithm>

#include "program.h"
#include "trireme/engine.h"

namespace trireme::testing {
namespace {

std::string gguf(const std::string& name) { return in_tree("tests/data/gguf/models/" + name); }

const std::vector<Words> plans = {
    {"-tp", "2"}, {"-tp", "3"}, {"-pp", "2"}, {"-tp", "2", "-pp", "3"}};

TEST(Gguf, ScoresAreTheSameUnderEveryPlan) {
  const TemporaryFolder folder;
  std::string rows;
  for (int row = 0; row < 3; ++row) {
    rows += "[1";
    for (int i = 0; i < 20 + row; ++i) rows += "," + std::to_string((i * 37 + row * 11) % 93 + 3);
    rows += "]\n";
  }
  write_file(folder / "ids.jsonl", rows);
  // Float16, Q4_0 with a window, Q8_0 with GPT-2's turned matrices, and many K-quants in one file.
  for (const char* const model : {"llama", "mistral", "gpt2", "llama_k"}) {
    const auto score = [&](const Words& flags) {
      const Outcome outcome =
          trireme(Words{"score", "-m", gguf(model), "-i", folder / "ids.jsonl", "--ids"} + flags);
      EXPECT_EQ(outcome.exit_code, 0) << model << ": " << outcome.err;
      EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3) << outcome.out;
      return outcome.out;
    };
    for (const char* const quantization : {"none", "int8"}) {
      const Words how{"--quantization", quantization};
      const std::string alone = score(how);
      for (const Words& plan : plans) EXPECT_EQ(score(how + plan), alone) << model;
    }
  }
}

TEST(Gguf, RunTakesTextAndChats) {
  const auto run = [](const Words& words) {
    const Outcome outcome = trireme(
        Words{"run", "-m", gguf("llama") + "/model.gguf", "-n", "9", "--temperature", "0"} + words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string alone = run({"the other hand"});
  EXPECT_FALSE(alone.empty());
  for (const Words& plan : plans) EXPECT_EQ(run(plan + Words{"the other hand"}), alone);
  EXPECT_NE(run({"--chat", "the other hand"}), alone);
}

TEST(Gguf, BatchResumesByTheFilesContent) {
  const TemporaryFolder folder;
  write_file(folder / "rows.jsonl", "{\"prompt\": \"the other hand\"}\n{\"prompt\": \"and\"}\n");
  const Outcome outcome = trireme({"batch", "-m", gguf("llama"), "-i", folder / "rows.jsonl", "-o",
                                   folder / "out.jsonl", "-dp", "2", "-n", "4"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string out = read_file(folder / "out.jsonl");
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2) << out;
  EXPECT_EQ(out.find("error"), std::string::npos) << out;

  Options options;
  options.model = folder / "m.gguf";
  std::string bytes = read_file(gguf("llama") + "/model.gguf");
  write_file(options.model, bytes);
  const std::string before = output_identity(options);
  // A size of the config, a letter of the vocabulary, one of the template, and the last weight.
  for (const std::size_t at : {bytes.find("llama.context_length") + 24, bytes.find("<|begin|>") + 3,
                               bytes.find("m.content") + 3, bytes.size() - 1}) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file(options.model, bytes);
    EXPECT_NE(output_identity(options), before) << at;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
  }
  write_file(options.model, bytes);
  EXPECT_EQ(output_identity(options), before);
  std::filesystem::rename(options.model, folder / "another name.gguf");
  options.model = folder / "another name.gguf";
  EXPECT_EQ(output_identity(options), before) << "it is the same model";
}

TEST(Gguf, PlanAndBenchTakeIt) {
  const Outcome plan = trireme({"plan", "-m", gguf("llama_k"), "-tp", "2", "--no-speed", "--json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(plan.err, "") << "no tensor without a use";
  for (const char* const part : {"\"LlamaForCausalLM\"", "\"bfloat16\"", "model.gguf"}) {
    EXPECT_NE(plan.out.find(part), std::string::npos) << plan.out;
  }
  const Outcome bench =
      trireme({"bench", "-m", gguf("llama"), "--prompt-tokens", "8", "--new-tokens", "2"});
  EXPECT_EQ(bench.exit_code, 0) << bench.err;
}

TEST(Gguf, TheFormatMayBeNamed) {
  const auto code = [](const char* format, const std::string& model) {
    return trireme({"plan", "--no-speed", "-m", model, "--load-format", format}).exit_code;
  };
  EXPECT_EQ(code("gguf", gguf("llama")), 0);
  EXPECT_EQ(code("dummy", gguf("llama")), 0);
  EXPECT_EQ(code("safetensors", gguf("llama")), 2);
  EXPECT_EQ(code("gguf", llama()), 2);
}

}  // namespace
}  // namespace trireme::testing
