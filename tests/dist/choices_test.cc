// Promise 1 for chosen labels: the same bytes under every plan, in any company, whatever order a
// label tree is walked through. Real processes, whole runs of the program, compared byte for byte.
#include <gtest/gtest.h>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;
namespace fs = std::filesystem;

struct Setting {
  std::string family;  ///< decoder, t5
  std::string dtype;
  std::string quantization = "none";

  std::string name() const {
    return family + "_" + dtype + (quantization == "none" ? "" : "_" + quantization);
  }
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name(); }

const char* const decoder_config =
    R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 1043,
        "hidden_size": 640, "num_attention_heads": 10, "num_key_value_heads": 2, "head_dim": 64,
        "intermediate_size": 1301, "num_hidden_layers": 3, "max_position_embeddings": 200,
        "rms_norm_eps": 1e-5, "eos_token_id": [0, 3], "tie_word_embeddings": false})";
const char* const t5_config =
    R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": 1043,
        "d_model": 320, "d_kv": 64, "num_heads": 5, "d_ff": 709, "num_layers": 2,
        "num_decoder_layers": 3, "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128, "decoder_start_token_id": 0, "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false})";

/// Labels that begin alike, one that others go on from, and some of one token.
const char* const labels =
    "sea\nsea and sky\nsea and sun\nsea and sunshine\nthe king\nthe king of men\nthe king of all "
    "the "
    "world and of what is beyond\nthe queen\nthe\nnobody\nnothing\nno\nI\na\n";

class Workbench {
 public:
  explicit Workbench(const Setting& setting) : setting_(setting) {
    const fs::path root(TRIREME_SOURCE_DIR);
    const bool t5 = setting_.family == "t5";
    fs::create_directory(model());
    write_file(model() / "config.json", t5 ? t5_config : decoder_config);
    fs::copy(root / (t5 ? "tests/data/texts/t5" : "demo/llama") / "tokenizer.json",
             model() / "tokenizer.json");
    write_file(folder_ / "labels.txt", labels);
    std::string all;
    for (int i = 0; i < rows; ++i) all += row(i);
    write_file(folder_ / "rows.jsonl", all);
  }

  std::string output(const Words& flags, const std::string& input = "rows.jsonl",
                     std::map<std::string, std::string> env = {}) const {
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT", "1");
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    const std::string out = folder_ / "out.jsonl";
    fs::remove(out);
    const bool mpi = !flags.empty() && flags[0] == "mpirun";
    Words words;
    if (mpi) words = {"--oversubscribe", "-n", flags[1], trireme_program()};
    for (const std::string& word :
         Words{"batch", "--model", model(), "-i", folder_ / input, "-o", out, "--choices",
               folder_ / "labels.txt", "--load-format", "dummy", "--dtype", setting_.dtype,
               "--quantization", setting_.quantization, "--max-model-len", "160"}) {
      words.push_back(word);
    }
    words.insert(words.end(), flags.begin() + (mpi ? 2 : 0), flags.end());
    const Outcome outcome = run(mpi ? "mpirun" : trireme_program(), words, env);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_file(out);
  }

  /// Each row in a run of its own.
  std::string one_by_one() const {
    std::string all;
    for (int i = 0; i < rows; ++i) {
      write_file(folder_ / "row.jsonl", row(i));
      all += output({"--threads", "1"}, "row.jsonl");
    }
    return all;
  }

 private:
  static constexpr int rows = 12;

  fs::path model() const { return folder_.path() / "model"; }

  /// Some begin alike, some bring labels of their own.
  static std::string row(int row) {
    const std::string words = "the quick brown fox jumps over the lazy dog and then some more ";
    std::string text;
    const auto length = static_cast<std::size_t>(1 + 67 * row % 230);
    while (text.size() < length) text += words;
    text.resize(length);
    std::string json = R"({"id": )" + std::to_string(row * 7) + R"(, "prompt": ")" + text + R"( ")";
    if (row % 5 == 2) json += R"(, "choices": ["good", "good enough", "bad"])";
    return json + "}\n";
  }

  Setting setting_;
  TemporaryFolder folder_;
};

class ChoiceInvariance : public ::testing::TestWithParam<Setting> {
 protected:
  static void expect_same(const Workbench& bench, const std::vector<Words>& plans) {
    const std::string expected = bench.output({"--threads", "1"});
    ASSERT_GT(expected.size(), 1000u);
    EXPECT_EQ(expected.find("\"error\""), std::string::npos) << expected;
    for (const Words& plan : plans) {
      std::string name;
      for (const std::string& word : plan) name += word + " ";
      EXPECT_TRUE(bench.output(plan) == expected) << name;
    }
  }
};

TEST_P(ChoiceInvariance, Plans) {
  const Workbench bench(GetParam());
  expect_same(bench, {{"-tp", "2"},
                      {"-tp", "3"},
                      {"-pp", "3"},
                      {"-dp", "2"},
                      {"-tp", "2", "-pp", "2"},
                      {"-dp", "2", "-tp", "2", "-pp", "2"}});
}

TEST_P(ChoiceInvariance, ThreadsBatchesAndCaches) {
  const Workbench bench(GetParam());
  std::vector<Words> plans{{"--threads", "3"},
                           {"--max-num-seqs", "1"},
                           {"--max-num-seqs", "3", "-pp", "2"},
                           {"--max-num-seqs", "200", "--max-num-batched-tokens", "5000"},
                           {"--max-num-seqs", "5", "--max-num-batched-tokens", "1"},
                           {"--max-num-batched-tokens", "33", "-pp", "2", "--threads", "2"},
                           {"--num-speculative-tokens", "5"}};
  const char* const small = GetParam().family == "t5" ? "4M" : "600K";
  plans.push_back({"--kv-cache-memory", small});
  plans.push_back({"--kv-cache-memory", small, "-tp", "2", "-pp", "2"});
  expect_same(bench, plans);
}

TEST_P(ChoiceInvariance, CompanyChangesNothing) {
  const Workbench bench(GetParam());
  EXPECT_TRUE(bench.output({}) == bench.one_by_one());
}

TEST_P(ChoiceInvariance, Mpi) {
  if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "SKIP: mpirun is not installed";
  }
  expect_same(Workbench(GetParam()),
              {{"mpirun", "4", "-tp", "2", "-pp", "2"}, {"mpirun", "2", "-dp", "2"}});
}

TEST_P(ChoiceInvariance, APlanDependentReductionIsNoticed) {
  const Workbench bench(GetParam());
  const std::map<std::string, std::string> broken{{"TRIREME_TEST_PLAN_DEPENDENT_REDUCTION", "1"}};
  EXPECT_FALSE(bench.output({"-tp", "3"}, "rows.jsonl", broken) == bench.output({}));
}

INSTANTIATE_TEST_SUITE_P(Models, ChoiceInvariance,
                         ::testing::Values(Setting{"decoder", "float32"},
                                           Setting{"decoder", "bfloat16"},
                                           Setting{"decoder", "bfloat16", "int8"},
                                           Setting{"t5", "float32"}, Setting{"t5", "bfloat16"}),
                         [](const auto& param) { return param.param.name(); });

class ChoiceFlags : public ::testing::Test {
 protected:
  Outcome batch(const Words& flags) {
    Words words{"batch",
                "-m",
                fs::path(TRIREME_SOURCE_DIR) / "demo/llama",
                "-i",
                folder_ / "rows.jsonl",
                "-o",
                folder_ / "out.jsonl"};
    words.insert(words.end(), flags.begin(), flags.end());
    return run(trireme_program(), words);
  }
  TemporaryFolder folder_;
};

TEST_F(ChoiceFlags, OneBadRowStopsNobody) {
  write_file(folder_ / "rows.jsonl",
             "{\"prompt\": \"O \"}\n{\"prompt\": \"O \", \"choices\": [1]}\n"
             "{\"prompt\": \"O \", \"choices\": [\"Romeo\", \"Juliet\"]}\n");
  EXPECT_EQ(batch({"--choices", "love, night"}).exit_code, 3);
  const std::string out = read_file(folder_ / "out.jsonl");
  EXPECT_TRUE(out.starts_with(R"({"id":0,"label":")")) << out;
  EXPECT_NE(out.find(R"("probabilities":{"love":0.)"), std::string::npos) << out;
  EXPECT_NE(out.find(R"({"id":1,"error":{"code":"invalid_choices")"), std::string::npos) << out;
  EXPECT_NE(out.find(R"("probabilities":{"Romeo":0.)"), std::string::npos) << out;
}

TEST_F(ChoiceFlags, RowsMayChooseAmongOthersThatGenerate) {
  write_file(folder_ / "rows.jsonl",
             "{\"prompt\": \"O \", \"max_tokens\": 3}\n"
             "{\"prompt\": \"O \", \"choices\": [\"Romeo\", \"Juliet\"]}\n");
  EXPECT_EQ(batch({}).exit_code, 0);
  const std::string out = read_file(folder_ / "out.jsonl");
  EXPECT_NE(out.find(R"({"id":0,"text":)"), std::string::npos) << out;
  EXPECT_NE(out.find(R"({"id":1,"label":)"), std::string::npos) << out;
}

TEST_F(ChoiceFlags, WhatIsSampledIsRefusedByName) {
  write_file(folder_ / "rows.jsonl", "{\"prompt\": \"O \"}\n");
  for (const Words& flags : {Words{"--temperature", "0.5"}, Words{"--max-new-tokens", "5"},
                             Words{"--stop", "x"}, Words{"--ignore-eos"}}) {
    Words words{"--choices", "a,b"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = batch(words);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_NE(outcome.err.find(flags[0] + ": "), std::string::npos) << outcome.err;
  }
}

TEST_F(ChoiceFlags, TopKLimitsWhatIsListed) {
  write_file(folder_ / "rows.jsonl", "{\"prompt\": \"O \"}\n");
  EXPECT_EQ(batch({"--choices", "Romeo,Juliet,night", "--top-k", "1"}).exit_code, 0);
  const std::string out = read_file(folder_ / "out.jsonl");
  const std::string list = out.substr(out.find("\"probabilities\""));
  EXPECT_EQ(std::count(list.begin(), list.end(), ','), 1) << out;
}

TEST_F(ChoiceFlags, ARunPrintsTheLabelAlone) {
  const Outcome outcome =
      run(trireme_program(), {"run", "-m", fs::path(TRIREME_SOURCE_DIR) / "demo/llama",
                              "My love is as deep as the ", "--choices", "sea,ocean", "--stats"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "sea\n");
  EXPECT_NE(outcome.err.find("[sea "), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
