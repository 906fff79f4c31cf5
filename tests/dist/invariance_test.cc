// Promise 1: the same bytes under every plan. Real processes, whole runs of the program, compared
// byte for byte. The models cross several K blocks, virtual shards, KV blocks and tails.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/registry.h"
#include "support/packed_model.h"
#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

struct Setting {
  std::string config;
  std::string dtype;
  std::string quantization = "none";
  std::string packed_as;  ///< gptq or awq: a checkpoint of random words instead of made-up weights

  std::string name() const {
    const std::string plain = config + "_" + dtype;
    if (!packed_as.empty()) return plain + "_" + packed_as;
    return quantization == "none" ? plain : plain + "_" + quantization;
  }
  /// Whether AMX may add in its own order: not integers, nor what it leaves to AVX-512.
  bool multiplies_bf16() const {
    return dtype == "bfloat16" && (quantization == "none" || quantization == "auto");
  }
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name(); }

/// A model directory with made-up weights and a real tokenizer; rows to generate and rows to score.
class Workbench {
 public:
  explicit Workbench(const Setting& setting) : setting_(setting) {
    const std::filesystem::path data = std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data";
    std::filesystem::create_directory(model());
    if (setting.packed_as.empty()) {
      write_file(model() / "config.json",
                 widened(read_file(data / "golden" / setting.config / "config.json")));
    } else {
      PackedLlama{.method = setting.packed_as, .group = 128, .vocabulary = 1043}.write(model());
    }
    std::filesystem::copy(data / "tokenizers/gpt2/tokenizer.json", model() / "tokenizer.json");
    write_file(folder_ / "rows.jsonl", rows());
    write_file(folder_ / "ids.jsonl", ids());
  }

  std::filesystem::path model() const { return folder_.path() / "model"; }

  /// What `batch` and `score` write under a plan, one after the other.
  std::string output(const Words& flags, std::map<std::string, std::string> env = {}) const {
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT", "1");
    env.emplace("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    return verb("batch", "rows.jsonl", {}, flags, env) +
           verb("score", "ids.jsonl", {"--ids"}, flags, env);
  }

  /// What `batch --stats` says on standard error.
  std::string batch_stats(const Words& flags) const {
    std::string said;
    verb("batch", "rows.jsonl", {"--stats"}, flags, {}, &said);
    return said;
  }

 private:
  std::string verb(const std::string& name, const std::string& input, const Words& more,
                   const Words& flags, const std::map<std::string, std::string>& env,
                   std::string* said = nullptr) const {
    const std::string out = folder_ / (name + ".out");
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
         Words{name, "--model", model().string(), "-i", (folder_ / input).string(), "-o", out,
               "--load-format", setting_.packed_as.empty() ? "dummy" : "auto", "--max-model-len",
               "256", "--dtype", setting_.dtype, "--quantization", setting_.quantization}) {
      words.push_back(word);
    }
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), started ? split + 1 : flags.begin(), flags.end());
    const Outcome outcome = run(started ? flags.front() : trireme_program(), words, env);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    if (said != nullptr) *said = outcome.err;
    return read_file(out);
  }

  /// The config with room for the tokenizer's vocabulary, and a tail after its last block of 32.
  static std::string widened(std::string text) {
    const std::string key = "\"vocab_size\": ";
    const std::size_t begin = text.find(key) + key.size();
    return text.replace(begin, text.find_first_of(",\n", begin) - begin, "1043");
  }

  static std::string rows() {
    std::string text;
    const std::string words = "the quick brown fox jumps over the lazy dog and then some more ";
    for (int row = 0; row < 12; ++row) {
      const auto length = static_cast<std::size_t>(3 + 37 * row % 200);
      std::string prompt;
      while (prompt.size() < length) prompt += words.substr(static_cast<std::size_t>(row) % 20);
      prompt.resize(length);
      text += "{\"prompt\": \"" + prompt + "\", \"max_new_tokens\": " + std::to_string(5 + row * 3);
      if (row % 3 == 1) text += ", \"temperature\": 0.9, \"top_p\": 0.95, \"seed\": 3";
      if (row % 3 == 2) text += ", \"temperature\": 1.3, \"top_k\": 0, \"repetition_penalty\": 1.2";
      text += "}\n";
    }
    return text;
  }

  static std::string ids() {
    std::string text;
    for (int row = 0; row < 6; ++row) {
      text += "[";
      for (int i = 0; i < 1 + row * 29; ++i) {
        text += (i == 0 ? "" : ", ") + std::to_string((i * 37 + row * 11) % 640);
      }
      text += "]\n";
    }
    return text;
  }

  Setting setting_;
  TemporaryFolder folder_;
};

class Invariance : public ::testing::TestWithParam<Setting> {
 protected:
  /// Room for two or three of the longest sequences, so that others are preempted.
  static std::string small_cache() { return GetParam().dtype == "float32" ? "800K" : "400K"; }

  void expect_same(const Workbench& bench, const std::vector<Words>& plans,
                   const std::map<std::string, std::string>& env = {}) const {
    const std::string expected = bench.output({"--threads", "1"}, env);
    ASSERT_GT(expected.size(), 1000u);
    for (const Words& plan : plans) {
      std::string name;
      for (const std::string& word : plan) name += word + " ";
      // Not EXPECT_EQ, which would print both.
      EXPECT_TRUE(bench.output(plan, env) == expected) << name;
    }
  }
};

TEST_P(Invariance, Plans) {
  const Workbench bench(GetParam());
  expect_same(bench, {{"-dp", "2"},
                      {"-tp", "2"},
                      {"-pp", "2"},
                      {"-tp", "3"},
                      {"-dp", "2", "-tp", "2"},
                      {"-tp", "2", "-pp", "2"},
                      {"-dp", "2", "-pp", "2", "--threads", "2"},
                      {"-pp", "4"},
                      {"-tp", "5"}});
}

TEST_P(Invariance, ThreadsBatchesChunksAndPreemption) {
  const Workbench bench(GetParam());
  expect_same(bench, {{"--threads", "2"},
                      {"--threads", "3"},
                      {"--max-num-seqs", "1"},
                      {"--max-num-seqs", "5", "--max-num-batched-tokens", "7"},
                      {"--max-num-batched-tokens", "33", "--threads", "2"},
                      {"--max-num-batched-tokens", "1000"},
                      {"--num-speculative-tokens", "5", "--prompt-lookup-min", "1"},
                      // So few blocks that sequences must be preempted and computed again.
                      {"--kv-cache-memory", small_cache()},
                      {"--kv-cache-memory", small_cache(), "-tp", "2", "-pp", "2"},
                      {"--kv-cache-memory", small_cache(), "-tp", "2", "-pp", "2",
                       "--num-speculative-tokens", "5", "--prompt-lookup-min", "1"}});
}

TEST_P(Invariance, EveryInstructionSet) {
  const Workbench bench(GetParam());
  std::string first;
  std::vector<std::string> names = available_backends();
  if (GetParam().quantization != "none" && !GetParam().multiplies_bf16()) {
    names.emplace_back("amx-emulated");
  }
  for (const std::string& isa : names) {
    const std::map<std::string, std::string> env{{"TRIREME_ISA", isa}};
    const std::string output = bench.output({"--threads", "1"}, env);
    std::vector<Words> plans{{"-tp", "3", "--threads", "2"}};
    if (isa != "reference") {  // it is slow
      plans.push_back({"-dp", "2", "-pp", "2"});
      plans.push_back({"--num-speculative-tokens", "5", "--prompt-lookup-min", "1"});
    }
    for (const Words& plan : plans) {
      EXPECT_TRUE(bench.output(plan, env) == output) << isa << " " << plan[0];
    }
    if (isa == "amx" && GetParam().multiplies_bf16()) continue;  // its own order of additions
    if (first.empty()) first = output;
    EXPECT_TRUE(output == first) << isa << " must give the reference's bits";
  }
}

TEST_P(Invariance, Mpi) {
  if (run("sh", {"-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "SKIP: mpirun is not installed";
  }
  const Workbench bench(GetParam());
  const auto mpi = [](const char* ranks, const Words& flags) {
    Words words{"mpirun", "--oversubscribe", "-n", ranks, "--"};
    words.insert(words.end(), flags.begin(), flags.end());
    return words;
  };
  expect_same(bench,
              {mpi("4", {"-tp", "2", "-pp", "2"}), mpi("2", {"-dp", "2"}), mpi("3", {"-tp", "3"})});
}

TEST_P(Invariance, APlanDependentReductionIsNoticed) {
  const Workbench bench(GetParam());
  const std::map<std::string, std::string> broken{{"TRIREME_TEST_PLAN_DEPENDENT_REDUCTION", "1"}};
  EXPECT_FALSE(bench.output({"-tp", "3"}, broken) == bench.output({}, broken));
}

/// The numbers that `batch --stats` prints for each rank.
std::vector<std::int64_t> numbers(const std::string& text, const std::string& key) {
  std::vector<std::int64_t> out;
  const std::string quoted = "\"" + key + "\": ";
  for (std::size_t at = text.find(quoted); at != std::string::npos;
       at = text.find(quoted, at + 1)) {
    out.push_back(std::stoll(text.substr(at + quoted.size(), 20)));
  }
  return out;
}

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

TEST_P(Invariance, CountersProveThatWeightsWorkAndRowsAreSplit) {
  const Workbench bench(GetParam());
  const std::string one = bench.batch_stats({});
  const std::int64_t weights = sum(numbers(one, "weight_bytes"));
  const std::int64_t work = sum(numbers(one, "multiply_adds"));
  const std::int64_t tokens = sum(numbers(one, "generated_tokens"));
  for (const Words& plan : std::vector<Words>{{"-tp", "2"}, {"-pp", "2"}, {"-tp", "3"}}) {
    const std::string stats = bench.batch_stats(plan);
    const std::vector<std::int64_t> held = numbers(stats, "weight_bytes");
    ASSERT_EQ(held.size(), static_cast<std::size_t>(std::stoi(plan[1]))) << stats;
    // A rank holds its share, and what cannot be cut (norms, a shared K/V head, padding).
    for (const std::int64_t bytes : held) EXPECT_LT(bytes, weights * 7 / 10) << plan[0] << stats;
    EXPECT_LT(sum(held), weights * 17 / 10) << plan[0];
    const std::vector<std::int64_t> done = numbers(stats, "multiply_adds");
    for (const std::int64_t part : done) EXPECT_GT(part, 0) << plan[0] << stats;
    EXPECT_LT(*std::max_element(done.begin(), done.end()), work * 7 / 10) << plan[0] << stats;
  }
  const std::string both = bench.batch_stats({"-dp", "2", "--max-num-seqs", "1"});
  const std::vector<std::int64_t> rows = numbers(both, "generated_tokens");
  ASSERT_EQ(rows.size(), 2u) << both;
  EXPECT_GT(std::min(rows[0], rows[1]), 0) << "both replicas worked: " << both;
  EXPECT_EQ(sum(rows), tokens);
  EXPECT_NE(both.find("\"shared_weights\": true"), std::string::npos) << both;
  EXPECT_GT(sum(numbers(bench.batch_stats({"--kv-cache-memory", small_cache()}), "preemptions")), 0)
      << "the small cache of the other tests forces preemption";
}

INSTANTIATE_TEST_SUITE_P(Models, Invariance,
                         ::testing::Values(Setting{"wide_llama", "float32"},
                                           Setting{"wide_llama", "bfloat16"},
                                           Setting{"wide_gpt2", "float32"},
                                           Setting{"wide_gpt2", "float16"},
                                           Setting{"wide_llama", "bfloat16", "int8"},
                                           Setting{"wide_llama", "float32", "int4"},
                                           Setting{"wide_llama", "bfloat16", "auto", "gptq"},
                                           Setting{"wide_llama", "float32", "auto", "awq"}),
                         [](const auto& param) { return param.param.name(); });

}  // namespace
}  // namespace trireme::testing
