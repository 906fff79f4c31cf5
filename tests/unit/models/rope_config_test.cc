// Rotary scaling as config.json spells it: what is required, what is refused, how far it reaches.
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/rope.h"

namespace trireme {
namespace {

constexpr std::int64_t trained = 4096;

RopeConfig read(const std::string& fields) {
  return read_rope(HfConfig::parse("{" + fields + "}", "config.json"), 128, trained);
}

RopeConfig scaled(const std::string& fields) { return read("\"rope_scaling\": {" + fields + "}"); }

std::string message_for(const std::string& fields) {
  try {
    (void)read(fields);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

TEST(RopeConfigs, AScalingNeedsItsNumbers) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("type": "linear")", "factor is missing; expected a number: linear scaling needs it"},
      {R"("type": "dynamic")", "factor is missing"},
      {R"("type": "yarn", "original_max_position_embeddings": 4096)", "factor is missing"},
      {R"("rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192)",
       "low_freq_factor is missing"},
      {R"("rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "original_max_position_embeddings": 8192)",
       "high_freq_factor is missing"},
      {R"("rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0)",
       "original_max_position_embeddings is missing"},
      {R"("type": "linear", "factor": 0)", "factor is 0; expected"},
      {R"("type": "linear", "factor": -2.0)", "factor is -2.0; expected"},
      {R"("type": "linear", "factor": 100000.0)", "factor is 100000.0; expected less: 409600000"},
      {R"("type": "yarn", "factor": 4.0, "beta_fast": -1)", "beta_fast is -1; expected"},
      {R"("type": "longrope", "factor": 4.0)", "type is \"longrope\"; expected one of"},
  };
  for (const auto& [fields, expected] : cases) {
    const std::string message = message_for("\"rope_scaling\": {" + std::string(fields) + "}");
    EXPECT_NE(message.find("config.json: rope_scaling: " + std::string(expected)),
              std::string::npos)
        << message;
  }
}

TEST(RopeConfigs, FactorsDivideTheFrequencies) {
  const auto read_small = [](const std::string& scaling) {
    return read_rope(HfConfig::parse("{\"rope_scaling\": {" + scaling + "}}", "config.json"), 4,
                     trained);
  };
  const RopeConfig rope =
      read_small(R"("rope_type": "frequency_factors", "frequency_factors": [1, 8])");
  EXPECT_EQ(rope_frequencies(rope), (std::vector<float>{1.0f, 0.01f / 8}));
  EXPECT_EQ(usable_positions(rope, trained), trained);
  for (const char* const wrong : {"[1]", "[1, 0]", "[1, \"2\"]", "[1, 1e300]", "8"}) {
    EXPECT_THROW(read_small("\"rope_type\": \"frequency_factors\", \"frequency_factors\": " +
                            std::string(wrong)),
                 Error)
        << wrong;
  }
}

TEST(RopeConfigs, OtherNumbersAreCheckedToo) {
  for (const char* value : {"1", "0", "-5", "1e300"}) {
    EXPECT_NE(message_for("\"rope_theta\": " + std::string(value)).find("config.json: rope_theta"),
              std::string::npos)
        << value;
  }
  EXPECT_THROW(read_rope(HfConfig::parse("{}", "config.json"), 65, trained), Error);
}

TEST(RopeConfigs, ParametersPerKindOfLayerAreNotOverlooked) {
  EXPECT_NE(message_for(R"("rope_parameters": {"full_attention": {"rope_theta": 1e6}})")
                .find("full_attention"),
            std::string::npos);
}

TEST(RopeConfigs, TheOlderSpellingCountsWhereBothAreGiven) {
  const RopeConfig rope = read(R"("rope_theta": 5000.0,
      "rope_scaling": {"rope_type": "linear", "factor": 2.0},
      "rope_parameters": {"rope_type": "default", "rope_theta": 1e6})");
  EXPECT_EQ(rope.type, "linear");
  EXPECT_EQ(rope.theta, 5000.0);
}

TEST(RopeConfigs, LinearAndYarnReachBeyondTheTrainedContext) {
  const auto reach = [](const std::string& fields) {
    return usable_positions(scaled(fields), trained);
  };
  EXPECT_EQ(usable_positions(read(""), trained), trained);
  EXPECT_EQ(reach(R"("type": "linear", "factor": 2.5)"), 10240);
  EXPECT_EQ(reach(R"("type": "yarn", "factor": 4.0)"), 4 * trained);
  // As Qwen's model cards have it: max_position_embeddings is not the product.
  EXPECT_EQ(reach(R"("type": "yarn", "factor": 4.0, "original_max_position_embeddings": 3072)"),
            12288);
  EXPECT_EQ(reach(R"("type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024)"),
            trained)
      << "never less than max_position_embeddings";
  EXPECT_EQ(reach(R"("type": "dynamic", "factor": 4.0)"), trained);
  EXPECT_EQ(reach(R"("rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 1024)"),
            trained);
}

}  // namespace
}  // namespace trireme
