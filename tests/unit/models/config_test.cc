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

TEST(Config, AnUnknownArchitectureNamesTheKnownOnes) {
  const std::string message = message_for("architectures", R"(["MambaForCausalLM"])");
  for (const std::string& known : known_architectures()) {
    EXPECT_NE(message.find(known), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace trireme
