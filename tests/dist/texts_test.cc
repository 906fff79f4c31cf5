// Promise 1 for whole texts: vectors, labels, masks and answers of an encoder-decoder are the same
// bytes under every plan and in any company. Real processes, whole runs of the program, compared
// byte for byte. The models cross several K blocks, virtual shards, key blocks and tails.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

struct Setting {
  std::string verb;
  std::string dtype;
  std::string quantization = "none";

  std::string name() const {
    std::string name = verb + "_" + dtype + (quantization == "none" ? "" : "_" + quantization);
    std::ranges::replace(name, '-', '_');
    return name;
  }
  bool translates() const { return verb == "translate"; }
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name(); }

/// A model directory with made-up weights and a real tokenizer, and rows for it.
class Workbench {
 public:
  explicit Workbench(const Setting& setting) : setting_(setting) {
    const std::filesystem::path data =
        std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/texts";
    std::filesystem::create_directory(model());
    write_file(model() / "config.json", config());
    std::filesystem::copy(data / (setting.translates() ? "t5" : "classify") / "tokenizer.json",
                          model() / "tokenizer.json");
    write_file(folder_ / "rows.jsonl", join(rows()));
  }

  std::filesystem::path model() const { return folder_.path() / "model"; }

  /// What the verb writes under a plan.
  std::string output(const Words& flags, const std::string& rows = "rows.jsonl",
                     std::map<std::string, std::string> env = {}) const {
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT", "1");
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    const std::string out = folder_ / "out.jsonl";
    std::filesystem::remove(out);
    // Flags may begin with mpirun and its own.
    const auto split = std::find(flags.begin(), flags.end(), "--");
    const bool started = split != flags.end();
    Words words;
    if (started) {
      words.assign(flags.begin() + 1, split);
      words.push_back(trireme_program());
    }
    for (const std::string& word :
         Words{setting_.verb, "--model", model(), "-i", folder_ / rows, "-o", out, "--load-format",
               "dummy", "--dtype", setting_.dtype, "--quantization", setting_.quantization,
               "--max-model-len", "160"}) {
      words.push_back(word);
    }
    words.insert(words.end(), started ? split + 1 : flags.begin(), flags.end());
    const Outcome outcome = run(started ? flags.front() : trireme_program(), words, env);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_file(out);
  }

  /// The same, one row at a time, each in a run of its own.
  std::string one_by_one() const {
    std::string all;
    for (const std::string& row : rows()) {
      write_file(folder_ / "row.jsonl", row + "\n");
      all += output({"--threads", "1"}, "row.jsonl");
    }
    return all;
  }

  std::vector<std::string> rows() const {
    std::vector<std::string> rows;
    for (int row = 0; row < 14; ++row) rows.push_back(this->row(row));
    return rows;
  }

 private:
  static std::string join(const std::vector<std::string>& rows) {
    std::string text;
    for (const std::string& row : rows) text += row + "\n";
    return text;
  }

  std::string config() const {
    if (setting_.translates()) {
      return R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5",
                 "vocab_size": 1043, "d_model": 320, "d_kv": 64, "num_heads": 5, "d_ff": 709,
                 "num_layers": 2, "num_decoder_layers": 3, "relative_attention_num_buckets": 32,
                 "relative_attention_max_distance": 128, "decoder_start_token_id": 0,
                 "eos_token_id": 1, "feed_forward_proj": "gated-gelu",
                 "tie_word_embeddings": false})";
    }
    const std::string architecture = setting_.verb == "embed"      ? "BertModel"
                                     : setting_.verb == "classify" ? "BertForSequenceClassification"
                                                                   : "BertForMaskedLM";
    return R"({"architectures": [")" + architecture + R"("], "model_type": "bert",
               "vocab_size": 1043, "hidden_size": 640, "num_attention_heads": 10,
               "intermediate_size": 1301, "num_hidden_layers": 3, "type_vocab_size": 2,
               "max_position_embeddings": 200,
               "id2label": {"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}})";
  }

  std::string row(int row) const {
    const std::string words = "the quick brown fox jumps over the lazy dog and then some more ";
    std::string text;
    const auto length = static_cast<std::size_t>(1 + 67 * row % 230);
    while (text.size() < length) text += words.substr(static_cast<std::size_t>(row) % 20);
    text.resize(length);
    if (setting_.verb == "fill-mask") text += " [MASK] and [MASK]";
    std::string json = R"({"id": ")" + std::to_string(row * 7) + R"(", "text": ")" + text + "\"";
    if (setting_.translates()) {
      json += ", \"max_new_tokens\": " + std::to_string(5 + row * 3 % 40);
      // Only the first: random numbers depend on the row's place, and each is first when alone.
      if (row == 0) json += ", \"temperature\": 0.9, \"seed\": 3";
    } else if (row % 4 == 1) {
      json += R"(, "text_pair": ")" + words.substr(0, 30) + "\"";
    }
    return json + "}";
  }

  Setting setting_;
  TemporaryFolder folder_;
};

class TextInvariance : public ::testing::TestWithParam<Setting> {
 protected:
  static void expect_same(const Workbench& bench, const std::vector<Words>& plans) {
    const std::string expected = bench.output({"--threads", "1"});
    ASSERT_GT(expected.size(), 1000u);
    EXPECT_EQ(expected.find("\"error\""), std::string::npos) << expected;
    for (const Words& plan : plans) {
      std::string name;
      for (const std::string& word : plan) name += word + " ";
      // Not EXPECT_EQ, which would print both.
      EXPECT_TRUE(bench.output(plan) == expected) << name;
    }
  }
};

TEST_P(TextInvariance, Plans) {
  const Workbench bench(GetParam());
  expect_same(bench, {{"-tp", "2"},
                      {"-pp", "2"},
                      {"-pp", "3"},
                      {"-tp", "2", "-pp", "2"},
                      {"-dp", "2"},
                      {"-tp", "3"},
                      {"-tp", "5"},
                      {"-dp", "2", "-tp", "2", "-pp", "2"}});
}

TEST_P(TextInvariance, ThreadsAndBatches) {
  const Workbench bench(GetParam());
  std::vector<Words> plans{{"--threads", "2"},
                           {"--threads", "3"},
                           {"--max-num-seqs", "1"},
                           {"--max-num-seqs", "64", "--max-num-batched-tokens", "5000"},
                           {"--max-num-seqs", "5", "--max-num-batched-tokens", "1"},
                           {"--max-num-batched-tokens", "161", "-pp", "2", "--threads", "2"}};
  if (GetParam().translates()) {
    plans.push_back({"--num-speculative-tokens", "5", "--prompt-lookup-min", "1"});
    // So few blocks that sequences must be preempted and computed again.
    plans.push_back({"--kv-cache-memory", "4M"});
    plans.push_back({"--kv-cache-memory", "4M", "-tp", "2", "-pp", "2"});
  }
  expect_same(bench, plans);
}

TEST_P(TextInvariance, CompanyChangesNothing) {
  const Workbench bench(GetParam());
  const std::string alone = bench.one_by_one();
  EXPECT_TRUE(bench.output({}) == alone);
}

TEST_P(TextInvariance, Mpi) {
  if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "SKIP: mpirun is not installed";
  }
  const Workbench bench(GetParam());
  const auto mpi = [](const char* ranks, const Words& flags) {
    Words words{"mpirun", "--oversubscribe", "-n", ranks, "--"};
    words.insert(words.end(), flags.begin(), flags.end());
    return words;
  };
  expect_same(bench, {mpi("4", {"-tp", "2", "-pp", "2"}), mpi("2", {"-dp", "2"})});
}

TEST_P(TextInvariance, APlanDependentReductionIsNoticed) {
  const Workbench bench(GetParam());
  const std::map<std::string, std::string> broken{{"TRIREME_TEST_PLAN_DEPENDENT_REDUCTION", "1"}};
  EXPECT_FALSE(bench.output({"-tp", "3"}, "rows.jsonl", broken) == bench.output({}));
}

INSTANTIATE_TEST_SUITE_P(
    Tasks, TextInvariance,
    ::testing::Values(Setting{"embed", "float32"}, Setting{"embed", "bfloat16"},
                      Setting{"embed", "bfloat16", "int8"}, Setting{"classify", "float32"},
                      Setting{"classify", "bfloat16"}, Setting{"classify", "float32", "int8"},
                      Setting{"fill-mask", "float32"}, Setting{"fill-mask", "bfloat16"},
                      Setting{"fill-mask", "bfloat16", "int8"}, Setting{"translate", "float32"},
                      Setting{"translate", "bfloat16"}, Setting{"translate", "bfloat16", "int8"}),
    [](const auto& param) { return param.param.name(); });

}  // namespace
}  // namespace trireme::testing
