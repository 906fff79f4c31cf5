// Whole runs of the program on emulated GPUs: float32 and integers give the CPU's bytes, and every
// plan gives the same bytes. What a GPU's own arithmetic makes of bfloat16 no emulation can tell;
// that it does not depend on the plan, it can.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

std::filesystem::path data() { return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data"; }

/// The environment of a machine with so many GPUs, which are emulated: no NCCL knows them.
/// With TRIREME_TEST_GPUS set, real ones instead: as many as there are, whatever they can do.
Environment gpus(int count = 1, const std::string& capability = "90") {
  if (std::getenv("TRIREME_TEST_GPUS") != nullptr) return {};
  return {{"TRIREME_PLUGIN_PATH", TRIREME_BINARY_DIR "/emulated"},
          {"TRIREME_NCCL", "0"},
          {"TRIREME_CUDA_EMULATION_DEVICES", std::to_string(count)},
          {"TRIREME_CUDA_EMULATION_MEMORY", std::to_string(std::int64_t{8} << 30)},
          {"TRIREME_CUDA_EMULATION_CAPABILITY", capability}};
}

/// A model directory with made-up weights, a tokenizer, and rows.
class Bench {
 public:
  Bench(const std::string& config, const std::string& tokenizer, const std::string& rows) {
    std::filesystem::create_directory(model());
    write_file(model() / "config.json", config);
    std::filesystem::copy(data() / tokenizer / "tokenizer.json", model() / "tokenizer.json");
    write_file(folder_ / "rows.jsonl", rows);
  }

  std::string output(const std::string& verb, const Words& flags, const Environment& env) const {
    const Outcome outcome = start(verb, flags, env);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return written();
  }
  std::string written() const { return read_file(folder_ / "out.jsonl"); }

  Outcome start(const std::string& verb, const Words& flags, const Environment& env) const {
    std::filesystem::remove(folder_ / "out.jsonl");
    Words words{verb,
                "--model",
                model().string(),
                "-i",
                folder_ / "rows.jsonl",
                "-o",
                folder_ / "out.jsonl",
                "--load-format",
                "dummy",
                "--threads",
                "1"};
    words.insert(words.end(), flags.begin(), flags.end());
    return run(trireme_program(), words, env);
  }

 private:
  std::filesystem::path model() const { return folder_.path() / "model"; }

  TemporaryFolder folder_;
};

std::string decoder_rows() {
  return R"({"prompt": "the quick brown fox jumps over the lazy dog and", "max_new_tokens": 6}
{"prompt": "a", "max_new_tokens": 9, "temperature": 0.9, "top_p": 0.95, "seed": 3}
{"prompt": "sea, sea", "max_new_tokens": 5, "temperature": 1.3, "repetition_penalty": 1.2}
{"prompt": "oars and oars and oars and oars and oars and oars", "max_new_tokens": 7}
)";
}

/// The sizes of a config of tests/data/golden, with the tokenizer's vocabulary.
Bench decoder(const std::string& config) {
  auto json = nlohmann::json::parse(read_file(data() / "golden" / config / "config.json"));
  json["vocab_size"] = 1043;
  return {json.dump(), "tokenizers/gpt2", decoder_rows()};
}

struct Kind {
  const char* config;
  Words flags;
};

TEST(CudaProgram, Float32AndIntegersGiveTheCpusBytes) {
  for (const Kind& kind :
       {Kind{"llama3", {"--dtype", "float32"}}, Kind{"gpt2", {"--dtype", "float32"}},
        Kind{"qwen3", {"--dtype", "float32"}}, Kind{"mistral", {"--dtype", "float32"}},
        Kind{"llama3", {"--dtype", "float32", "--quantization", "int8"}},
        Kind{"qwen2", {"--dtype", "float32", "--quantization", "int4"}}}) {
    const Bench bench = decoder(kind.config);
    Words on_gpu = kind.flags;
    on_gpu.insert(on_gpu.end(), {"--device", "cuda"});
    const std::string cpu = bench.output("batch", kind.flags, {});
    EXPECT_EQ(std::ranges::count(cpu, '\n'), 4);
    EXPECT_TRUE(bench.output("batch", on_gpu, gpus()) == cpu)
        << kind.config << " " << kind.flags.back();
  }
}

TEST(CudaProgram, EveryPlanGivesTheSameBytes) {
  for (const Kind& kind :
       {Kind{"wide_llama", {"--dtype", "bfloat16"}}, Kind{"wide_gpt2", {"--dtype", "float16"}},
        Kind{"llama3", {"--dtype", "bfloat16", "--quantization", "int8"}}}) {
    const Bench bench = decoder(kind.config);
    const auto under = [&](const Words& plan, const Environment& env) {
      Words flags = kind.flags;
      flags.insert(flags.end(), {"--device", "cuda", "--max-model-len", "128"});
      flags.insert(flags.end(), plan.begin(), plan.end());
      return bench.output("batch", flags, env);
    };
    const std::string one = under({}, gpus());
    EXPECT_GT(one.size(), 300u);
    for (const Words& plan : std::vector<Words>{{"-tp", "2"},
                                                {"-tp", "3"},
                                                {"-pp", "2"},
                                                {"-dp", "2"},
                                                {"-tp", "2", "-pp", "2"},
                                                {"--max-num-seqs", "1"},
                                                {"--max-num-batched-tokens", "7"},
                                                {"--num-speculative-tokens", "4", "-tp", "2"},
                                                {"--num-speculative-tokens", "4"}}) {
      EXPECT_TRUE(under(plan, gpus()) == one) << kind.config << " " << plan.front();
    }
    EXPECT_TRUE(under({"-tp", "2"}, gpus(2)) == one) << "a GPU each";
  }
}

/// How many exchanges the fake NCCL says that a rank has recorded, at most.
int recorded_exchanges(const std::string& err) {
  static const std::regex line("fake NCCL: [1-9][0-9]* exchanges, ([0-9]+) recorded");
  int most = -1;
  for (std::sregex_iterator it(err.begin(), err.end(), line), end; it != end; ++it) {
    most = std::max(most, std::stoi((*it)[1]));
  }
  return most;
}

/// Over links between GPUs, by a NCCL that is a fake. What decoding tensor ranks exchange is
/// recorded.
TEST(CudaProgram, LinksBetweenGpusGiveTheSameBytes) {
  Environment linked = gpus(6);
  linked["TRIREME_NCCL"] = TRIREME_BINARY_DIR "/emulated/libnccl.so.2";
  linked["FAKE_NCCL_REPORT"] = "1";
  struct Case {
    Kind kind;
    std::vector<Words> plans;
  };
  for (const auto& [kind, plans] :
       {Case{{"wide_llama", {"--dtype", "bfloat16"}}, {{"-tp", "2"}, {"-pp", "2"}}},
        Case{{"gpt2", {"--dtype", "float32"}},
             {{"-tp", "3", "--max-num-batched-tokens", "7"}, {"-tp", "2", "-pp", "3"}}}}) {
    const Bench bench = decoder(kind.config);
    Words flags = kind.flags;
    flags.insert(flags.end(), {"--device", "cuda", "--max-model-len", "64"});
    const std::string one = bench.output("batch", flags, gpus());
    for (const Words& plan : plans) {
      Words all = flags;
      all.insert(all.end(), plan.begin(), plan.end());
      const Outcome outcome = bench.start("batch", all, linked);
      const std::string name = std::string(kind.config) + " " + plan[0] + " " + plan[1] + ": ";
      EXPECT_EQ(outcome.exit_code, 0) << name << outcome.err;
      EXPECT_TRUE(bench.written() == one) << name;
      const int recorded = recorded_exchanges(outcome.err);
      EXPECT_TRUE(plan[0] == "-tp" ? recorded > 0 : recorded == 0) << name << outcome.err;
    }
  }
}

TEST(CudaProgram, GpusWithoutTensorCoresGiveTheSameBytesUnderEveryPlan) {
  const Bench bench = decoder("llama3");
  for (const char* dtype : {"float16", "bfloat16"}) {
    const Words flags{"--device", "cuda", "--dtype", dtype};
    Words cut = flags;
    cut.insert(cut.end(), {"-tp", "2", "--max-num-batched-tokens", "5"});
    EXPECT_TRUE(bench.output("batch", flags, gpus(1, "75")) ==
                bench.output("batch", cut, gpus(1, "75")))
        << dtype;
  }
}

TEST(CudaProgram, Bfloat16IsNearTheCpus) {
  auto json = nlohmann::json::parse(read_file(data() / "golden/wide_llama/config.json"));
  json["vocab_size"] = 1043;
  const Bench bench(json.dump(), "tokenizers/gpt2",
                    "{\"text\": \"the quick brown fox jumps over the lazy dog\"}\n");
  const auto logprobs = [&](const Words& flags, const Environment& env) {
    double sum = 0;
    const auto row = nlohmann::json::parse(bench.output("score", flags, env));
    for (const auto& one : row.at("logprobs")) sum += one.is_null() ? 0 : one.get<double>();
    return sum;
  };
  const double cpu = logprobs({"--dtype", "bfloat16"}, {});
  EXPECT_NEAR(logprobs({"--dtype", "bfloat16", "--device", "cuda"}, gpus()), cpu,
              0.01 * std::abs(cpu));
}

TEST(CudaProgram, EncodersAndTranslatorsGiveTheCpusBytes) {
  const std::string t5 =
      R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": 1043,
          "d_model": 96, "d_kv": 16, "num_heads": 6, "d_ff": 200, "num_layers": 2,
          "num_decoder_layers": 2, "relative_attention_num_buckets": 32,
          "relative_attention_max_distance": 128, "decoder_start_token_id": 0, "eos_token_id": 1,
          "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false})";
  const auto bert = [](const std::string& architecture) {
    return R"({"architectures": [")" + architecture + R"("], "model_type": "bert",
               "vocab_size": 1043, "hidden_size": 96, "num_attention_heads": 6,
               "intermediate_size": 200, "num_hidden_layers": 2, "type_vocab_size": 2,
               "max_position_embeddings": 200, "id2label": {"0": "a", "1": "b", "2": "c"}})";
  };
  const std::string rows = "{\"text\": \"the lazy dog\"}\n{\"text\": \"oars\"}\n";
  struct Case {
    const char* verb;
    std::string config;
    const char* tokenizer;
  };
  for (const Case& one :
       {Case{"translate", t5, "texts/t5"}, Case{"embed", bert("BertModel"), "texts/classify"},
        Case{"classify", bert("BertForSequenceClassification"), "texts/classify"}}) {
    const Bench bench(one.config, one.tokenizer, rows);
    const Words flags{"--dtype", "float32", "--max-model-len", "64"};
    Words on_gpu = flags;
    on_gpu.insert(on_gpu.end(), {"--device", "cuda"});
    const std::string cpu = bench.output(one.verb, flags, {});
    EXPECT_TRUE(bench.output(one.verb, on_gpu, gpus()) == cpu) << one.verb;
    on_gpu.insert(on_gpu.end(), {"-tp", "2", "-pp", "2"});
    EXPECT_TRUE(bench.output(one.verb, on_gpu, gpus()) == cpu) << one.verb << " in parts";
  }
}

/// What only an emulation can be told to be.
#define SKIP_ON_REAL_GPUS() \
  if (std::getenv("TRIREME_TEST_GPUS") != nullptr) GTEST_SKIP() << "SKIP: for emulated GPUs"

TEST(CudaProgram, WhatDoesNotFitIsRefused) {
  SKIP_ON_REAL_GPUS();
  const Bench bench = decoder("wide_llama");
  Environment small = gpus();
  small["TRIREME_CUDA_EMULATION_MEMORY"] = std::to_string(4 << 20);
  const Outcome outcome = bench.start("batch", {"--device", "cuda"}, small);
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("a GPU needs"), std::string::npos) << outcome.err;
}

TEST(CudaProgram, AGpuThatIsNotThereIsAnError) {
  SKIP_ON_REAL_GPUS();
  const Bench bench = decoder("llama3");
  const Outcome outcome = bench.start("batch", {"--device", "cuda:3"}, gpus(2));
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("2 GPUs"), std::string::npos) << outcome.err;
}

TEST(CudaProgram, AutoTakesTheGpusThatAreThere) {
  SKIP_ON_REAL_GPUS();
  const Bench bench = decoder("llama3");
  const Words flags{"--dtype", "bfloat16"};
  Words automatic = flags;
  automatic.insert(automatic.end(), {"--device", "auto"});
  EXPECT_TRUE(bench.output("batch", automatic, {}) == bench.output("batch", flags, {}));
  automatic.push_back("--stats");
  const Outcome outcome = bench.start("batch", automatic, gpus());
  EXPECT_NE(outcome.err.find("cuda"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
