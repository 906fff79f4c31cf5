// A GGUF file as a model: its config.json, its parts, what lies beside it, and where it is found.
#include "weights/gguf_model.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "support/gguf_bytes.h"
#include "support/scratch.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path model_folder(const std::string& name) {
  return fs::path(TRIREME_SOURCE_DIR) / "tests/data/gguf/models" / name;
}

json config_of(const fs::path& file) {
  return json::parse(open_gguf_model(file)->require("config.json"));
}

TEST(GgufConfig, IsWhatTheModelsWereMadeWith) {
  const json llama = config_of(model_folder("llama") / "model.gguf");
  EXPECT_EQ(llama["architectures"], json({"LlamaForCausalLM"}));
  EXPECT_EQ(llama["dtype"], "float16");
  EXPECT_EQ(llama["num_key_value_heads"], 2);
  EXPECT_EQ(llama["tie_word_embeddings"], true);
  EXPECT_EQ(llama["eos_token_id"], json({2}));
  EXPECT_EQ(llama["rope_scaling"]["rope_type"], "llama3") << "recognised by its factors";
  EXPECT_EQ(llama["rope_scaling"]["factor"], 8.0);
  const json factors = config_of(model_folder("llama_factors") / "model.gguf");
  EXPECT_EQ(factors["rope_scaling"]["rope_type"], "frequency_factors");
  EXPECT_EQ(factors["dtype"], "bfloat16") << "quantised files compute in it";
  EXPECT_EQ(config_of(model_folder("llama_bias") / "model.gguf")["attention_bias"], true);
  EXPECT_EQ(config_of(model_folder("llama_bias") / "model.gguf")["tie_word_embeddings"], false);
  const json mistral = config_of(model_folder("mistral") / "model.gguf");
  EXPECT_EQ(mistral["architectures"], json({"MistralForCausalLM"}));
  EXPECT_EQ(mistral["sliding_window"], 10);
  const json qwen2 = config_of(model_folder("qwen2") / "model.gguf");
  EXPECT_EQ(qwen2["rope_scaling"]["rope_type"], "yarn");
  EXPECT_EQ(qwen2["dtype"], "float32");
  EXPECT_EQ(config_of(model_folder("qwen3") / "model.gguf")["dtype"], "bfloat16");
  EXPECT_EQ(config_of(model_folder("gpt2") / "model.gguf")["n_positions"], 80);
}

/// A file of one matrix and some metadata.
class GgufModel : public testing::Test {
 protected:
  static GgufBytes metadata(std::uint64_t more_pairs, const std::string& architecture = "llama") {
    GgufBytes file;
    file.start(1, 7 + more_pairs)
        .pair("general.architecture", architecture)
        .pair("llama.embedding_length", 8u)
        .pair("llama.attention.head_count", 2u)
        .pair("llama.feed_forward_length", 8u)
        .pair("llama.block_count", 1u)
        .pair("llama.context_length", 32u)
        .pair("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    return file;
  }
  std::string write(GgufBytes file, const std::string& name = "m.gguf") const {
    file.tensor("token_embd.weight", {8, 3}, 0, 0).data(96);
    return scratch_.write(name, file.bytes());
  }
  void expect_refusal(const GgufBytes& file, std::initializer_list<const char*> parts) const {
    const std::string path = write(file);
    const std::string message = message_of(ErrorKind::input, [&] { config_of(path); });
    expect_contains(message, "m.gguf: ");
    for (const char* part : parts) expect_contains(message, part);
  }

  Scratch scratch_;
};

TEST_F(GgufModel, DefaultsAreLlamaCpps) {
  const json config = config_of(write(metadata(0)));
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["head_dim"], 4);
  EXPECT_EQ(config["rope_theta"], 10000.0);
  EXPECT_TRUE(config["rope_scaling"].is_null());
  EXPECT_EQ(config["vocab_size"], 3);
  EXPECT_FALSE(config.contains("eos_token_id"));
}

TEST_F(GgufModel, AllTokensThatEndATextCount) {
  const json config = config_of(write(metadata(3)
                                          .pair("tokenizer.ggml.eos_token_id", 2u)
                                          .pair("tokenizer.ggml.eot_token_id", 1u)
                                          .pair("tokenizer.ggml.eom_token_id", 2u)));
  EXPECT_EQ(config["eos_token_id"], json({2, 1}));
}

TEST_F(GgufModel, RefusesWhatItDoesNotRun) {
  expect_refusal(metadata(0, "gemma2"),
                 {"general.architecture is \"gemma2\"", "llama, qwen2, qwen3, gpt2"});
  expect_refusal(metadata(1).pair("llama.expert_count", 8u),
                 {"llama.expert_count is 8", "mixtures"});
  expect_refusal(metadata(1).pair("llama.rope.freq_base", std::numeric_limits<float>::infinity()),
                 {"llama.rope.freq_base is inf", "a finite number"});
  expect_refusal(metadata(1).pair("llama.rope.dimension_count", 2u), {"dimension_count is 2"});
  expect_refusal(metadata(1).pair("llama.attention.value_length", 2u), {"value_length is 2"});
  expect_refusal(metadata(1).pair("llama.rope.scaling.type", "longrope"),
                 {"scaling.factor is missing"});
  expect_refusal(metadata(2)
                     .pair("llama.rope.scaling.type", "longrope")
                     .pair("llama.rope.scaling.factor", 2.0f),
                 {"scaling.type is \"longrope\"", "none, linear or yarn"});
  expect_refusal(metadata(1).pair("llama.attention.head_count_kv", std::vector<std::int32_t>{1, 2}),
                 {"head_count_kv is a list of 2 values", "the same number for all layers"});
  GgufBytes empty;
  empty.start(1, 1).pair("general.architecture", "llama");
  expect_refusal(empty, {"llama.embedding_length is missing; expected a positive integer"});
  GgufBytes adapter;
  const std::string path =
      scratch_.write("m.gguf", adapter.start(0, 7).bytes() + metadata(0).bytes().substr(24));
  expect_contains(message_of(ErrorKind::input, [&] { config_of(path); }),
                  "no tensor token_embd.weight; is it a whole language model?");
}

TEST_F(GgufModel, ListsOfTheSameNumberAreThatNumber) {
  const json config = config_of(
      write(metadata(1).pair("llama.attention.head_count_kv", std::vector<std::int32_t>{1, 1})));
  EXPECT_EQ(config["num_key_value_heads"], 1);
}

TEST_F(GgufModel, SplitFilesAreOne) {
  const std::string first = write(metadata(1).pair("split.count", 2u), "m-00001-of-00002.gguf");
  expect_contains(message_of(ErrorKind::input, [&] { open_gguf_model(first); }),
                  "m-00002-of-00002.gguf: cannot open");
  GgufBytes rest;
  rest.start(1, 1).pair("split.count", 2u).tensor("output.weight", {8, 3}, 0, 0).data(96);
  const std::string second = scratch_.write("m-00002-of-00002.gguf", rest.bytes());
  const auto model = open_gguf_model(first);
  EXPECT_EQ(model->open_weights()->tensors().size(), 2u);
  EXPECT_EQ(json::parse(model->require("config.json"))["tie_word_embeddings"], false);
  EXPECT_EQ(find_model(scratch_.path().string()), first);
  expect_contains(message_of(ErrorKind::input, [&] { open_gguf_model(second); }),
                  "part 2 of 2; give the first one, m-00001-of-00002.gguf");
  scratch_.write("renamed.gguf", scratch_.read("m-00001-of-00002.gguf"));
  expect_contains(
      message_of(ErrorKind::input, [&] { open_gguf_model(scratch_.file("renamed.gguf")); }),
      "names must end in -00001-of-00002.gguf");
  write(metadata(1).pair("split.count", 2u), "m-00002-of-00002.gguf");
  expect_contains(message_of(ErrorKind::input, [&] { open_gguf_model(first)->open_weights(); }),
                  "tensor token_embd.weight is also in");
}

TEST_F(GgufModel, IsFoundAsAFileAndAloneInADirectory) {
  const std::string file = write(metadata(0));
  EXPECT_EQ(find_model(file), file);
  EXPECT_EQ(find_model(scratch_.path().string()), file);
  write(metadata(0), "n.gguf");
  EXPECT_EQ(find_model(file), file);
  expect_contains(message_of(ErrorKind::input, [&] { find_model(scratch_.path().string()); }),
                  "several GGUF files (m.gguf, n.gguf); give one of them");
  scratch_.write("config.json", "{}");
  EXPECT_EQ(find_model(scratch_.path().string()), scratch_.path());
  expect_contains(message_of(ErrorKind::input, [&] { open_checkpoint(scratch_.path()); }),
                  "give such a file itself");
}

TEST_F(GgufModel, ATokenizerBesideTheFileCountsMore) {
  const std::string file = write(metadata(0));
  EXPECT_FALSE(open_gguf_model(file)->read("tokenizer.json").has_value());
  EXPECT_EQ(open_gguf_model(file)->where("tokenizer.json"), file + " (as tokenizer.json)");
  const std::string beside = scratch_.write("tokenizer.json", "{}");
  EXPECT_EQ(open_gguf_model(file)->read("tokenizer.json"), "{}");
  EXPECT_EQ(open_gguf_model(file)->where("tokenizer.json"), beside);
}

}  // namespace
}  // namespace trireme
