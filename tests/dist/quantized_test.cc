// GPTQ and AWQ checkpoints through the whole program: the same bytes under every plan however they
// are kept, one line on what is not kept in four bits, and refusals by name.
#include <gtest/gtest.h>

#include "support/packed_model.h"
#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/golden" / name;
}

class Quantized : public ::testing::Test {
 protected:
  /// `score` on a few ids.
  Outcome score(const std::filesystem::path& model, const Words& flags) const {
    write_file(folder_ / "ids.jsonl", "[5, 6, 7, 8, 9, 20, 31, 90, 14]\n[4, 80, 3]\n");
    Words words{"score", "--model", model.string(), "--ids", "-i", folder_ / "ids.jsonl",
                "-o",    output()};
    words.insert(words.end(), flags.begin(), flags.end());
    std::filesystem::remove(output());
    return run(trireme_program(), words);
  }
  std::string scores(const std::filesystem::path& model, const Words& flags) const {
    const Outcome outcome = score(model, flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_file(output());
  }
  std::string output() const { return folder_ / "scores.jsonl"; }

  TemporaryFolder folder_;
};

TEST_F(Quantized, TheSameBytesUnderEveryPlan) {
  const std::vector<Words> plans{{"-tp", "2"}, {"-pp", "2"}, {"-tp", "3"}, {"-dp", "2"}};
  for (const char* name : {"llama_gptq", "qwen2_gptq_v2", "mistral_gptq_int8", "qwen3_awq"}) {
    for (const char* quantization : {"auto", "none", "int8", "int4"}) {
      const Words kept{"--quantization", quantization};
      const std::string expected = scores(golden(name), kept);
      EXPECT_EQ(expected.find("null"), std::string::npos) << expected;
      for (Words plan : plans) {
        plan.insert(plan.end(), kept.begin(), kept.end());
        EXPECT_EQ(scores(golden(name), plan), expected) << name << " " << plan[0] << plan[1];
      }
    }
  }
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++times;
  }
  return times;
}

TEST_F(Quantized, WhatIsNotKeptIsToldOnce) {
  const std::string told = "quantised matrices take float16 instead of four bits in memory";
  for (const Words& plan : std::vector<Words>{{}, {"-tp", "2", "-pp", "2"}}) {
    const Outcome outcome = score(golden("llama_gptq"), plan);
    EXPECT_EQ(count(outcome.err, told), 1u) << outcome.err;
    EXPECT_NE(outcome.err.find("desc_act"), std::string::npos) << outcome.err;
  }
  const Outcome asked = score(golden("llama_gptq"), {"--quantization", "none"});
  EXPECT_EQ(count(asked.err, told), 0u) << asked.err;
  PackedLlama{}.write(folder_ / "all_kept");
  const Outcome kept = score(folder_ / "all_kept", {});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_EQ(count(kept.err, "quantised"), 0u) << kept.err;
}

TEST_F(Quantized, KeptCodesAreCloseToTheNumbersThatTheyStandFor) {
  for (const char* method : {"gptq", "awq"}) {
    PackedLlama{.method = method}.write(folder_ / method);
    const auto sum = [&](const char* quantization) {
      const std::string text = scores(folder_ / method, {"--quantization", quantization});
      return std::stod(text.substr(text.find("\"sum\":") + 6));
    };
    const double plain = sum("none");
    EXPECT_NE(sum("auto"), plain);
    EXPECT_NEAR(sum("auto"), plain, std::abs(plain) / 50) << method;
  }
}

TEST_F(Quantized, WhatCannotBeReadIsRefusedByName) {
  const auto refused = [&](const std::string& from, const std::string& to) {
    PackedLlama{}.write(folder_ / "bad");
    std::string config = read_file(folder_ / "bad/config.json");
    config.replace(config.find(from), from.size(), to);
    write_file(folder_ / "bad/config.json", config);
    const Outcome outcome = score(folder_ / "bad", {});
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    return outcome.err;
  };
  EXPECT_NE(refused("\"gptq\"", "\"bitsandbytes\"").find("quantization_config.quant_method"),
            std::string::npos);
  EXPECT_NE(refused("\"bits\": 4", "\"bits\": 2").find("quantization_config.bits"),
            std::string::npos);
  EXPECT_NE(refused("\"group_size\": 128", "\"group_size\": 64").find("scales has shape"),
            std::string::npos);
}

}  // namespace
}  // namespace trireme::testing
