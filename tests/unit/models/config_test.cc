// Configs that cannot be meant are refused by name, before anything is allocated for them.
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "models/registry.h"

namespace trireme {
namespace {

std::string llama_with(const std::string& key, const std::string& value) {
  std::map<std::string, std::string> fields{{"architectures", R"(["LlamaForCausalLM"])"},
                                            {"hidden_size", "64"},
                                            {"num_attention_heads", "4"},
                                            {"num_key_value_heads", "2"},
                                            {"num_hidden_layers", "2"},
                                            {"intermediate_size", "128"},
                                            {"vocab_size", "100"}};
  if (!key.empty()) fields[key] = value;
  std::string text;
  for (const auto& [name, content] : fields) {
    text += (text.empty() ? "{\"" : ", \"") + name + "\": " + content;
  }
  return text + "}";
}

std::string message_for(const std::string& key, const std::string& value) {
  try {
    (void)make_model(HfConfig::parse(llama_with(key, value), "config.json"), DType::f32);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Config, AGoodOneMakesAModel) {
  const auto model = make_model(HfConfig::parse(llama_with("", ""), "config.json"), DType::bf16);
  EXPECT_EQ(model->spec().num_layers(), 2);
  EXPECT_EQ(model->spec().head_dim, 16);
}

TEST(Config, NumbersThatCannotBeMeantAreRefusedByName) {
  for (const char* key : {"hidden_size", "num_attention_heads", "num_key_value_heads",
                          "num_hidden_layers", "intermediate_size", "vocab_size"}) {
    for (const char* value : {"0", "-1", "2147483648", "99999999999999999999", "1.5", "\"8\""}) {
      const std::string message = message_for(key, value);
      EXPECT_NE(message.find(key), std::string::npos) << key << " = " << value << ": " << message;
      EXPECT_NE(message.find("config.json"), std::string::npos) << message;
    }
  }
}

TEST(Config, HeadsThatDoNotDivideAreRefused) {
  EXPECT_NE(message_for("num_key_value_heads", "3").find("num_key_value_heads"), std::string::npos);
  EXPECT_NE(message_for("hidden_size", "66").find("hidden_size"), std::string::npos);
}

TEST(Config, NormEpsilonsAndActivationsAreChecked) {
  for (const char* value : {"-1e-6", "2", "1e300", "\"1e-6\""}) {
    EXPECT_NE(message_for("rms_norm_eps", value).find("config.json: rms_norm_eps"),
              std::string::npos)
        << value;
  }
  EXPECT_EQ(message_for("rms_norm_eps", "0.02"), "");
  EXPECT_NE(message_for("hidden_act", "\"gelu\"").find("hidden_act is \"gelu\"; expected"),
            std::string::npos);
  EXPECT_EQ(message_for("hidden_act", "\"swish\""), "");
  EXPECT_NE(message_for("head_dim", "17").find("head_dim is 17; expected an even number"),
            std::string::npos);
  EXPECT_NE(message_for("max_position_embeddings", "1073741824").find("from 1 to 16777216"),
            std::string::npos);
}

/// What transformers' config classes, 4.57 and 5, take for a key that is not there.
TEST(Config, KeysThatAreLeftOutMeanWhatTheyMeanToTheFamily) {
  const auto with = [](const std::string& more) {
    const std::string text = R"({"hidden_size": 4096, "num_attention_heads": 32,
        "num_hidden_layers": 2, "intermediate_size": 128, "vocab_size": 100)" +
                             more + "}";
    return make_model(HfConfig::parse(text, "config.json"), DType::f32)->spec();
  };
  const ModelSpec llama = with(R"(, "model_type": "llama")");
  EXPECT_EQ(llama.num_key_value_heads, 32);
  EXPECT_EQ(llama.max_positions, 2048);
  const std::string mistral = R"(, "model_type": "mistral")";
  EXPECT_EQ(with(mistral).num_key_value_heads, 8);
  EXPECT_EQ(with(mistral + R"(, "num_key_value_heads": null)").num_key_value_heads, 32);
  EXPECT_EQ(with(mistral).max_positions, 131072);
  EXPECT_EQ(with(mistral).blocks[1].sliding_window, 4096);
  EXPECT_EQ(with(mistral + R"(, "sliding_window": null)").blocks[1].sliding_window, 0);
  EXPECT_EQ(with(mistral + R"(, "sliding_window": 7)").blocks[1].sliding_window, 7);
  for (const std::string family : {R"(, "model_type": "qwen2")", R"(, "model_type": "qwen3")"}) {
    const std::string sliding = family + R"(, "use_sliding_window": true, "max_window_layers": 1)";
    EXPECT_EQ(with(family).num_key_value_heads, 32);
    EXPECT_EQ(with(family).max_positions, 32768);
    EXPECT_EQ(with(family).blocks[2].sliding_window, 0);
    EXPECT_EQ(with(sliding).blocks[1].sliding_window, 0);
    EXPECT_EQ(with(sliding).blocks[2].sliding_window, 4096);
    EXPECT_EQ(with(sliding + R"(, "sliding_window": null)").blocks[2].sliding_window, 0);
    EXPECT_THROW(with(sliding + R"(, "layer_types": ["chunked_attention", "full_attention"])"),
                 Error);
  }
  EXPECT_EQ(with(R"(, "model_type": "qwen3")").head_dim, 128);
}

TEST(Config, AnUnknownArchitectureNamesTheKnownOnes) {
  const std::string message = message_for("architectures", R"(["MambaForCausalLM"])");
  for (const std::string& known : known_architectures()) {
    EXPECT_NE(message.find(known), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace trireme
