// A checkpoint that holds more than config.json asks for is no silent matter; buffers are.
#include "models/unused_tensors.h"

#include <gtest/gtest.h>

#include "models/loader.h"
#include "models/registry.h"

namespace trireme {
namespace {

std::unique_ptr<Model> llama(int layers) {
  const std::string text = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64,
      "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100,
      "tie_word_embeddings": true, "num_hidden_layers": )" +
                           std::to_string(layers) + "}";
  return make_model(HfConfig::parse(text, "config.json"), DType::f32);
}

TEST(UnusedTensors, ACheckpointOfTheModelHasNone) {
  const auto model = llama(2);
  const auto source = make_dummy_source(dummy_tensors(model->spec()), 0);
  EXPECT_EQ(unused_tensors_warning(model->spec(), *source), "");
}

TEST(UnusedTensors, LayersThatConfigDoesNotKnowAreNamed) {
  const auto source = make_dummy_source(dummy_tensors(llama(4)->spec()), 0);
  const auto model = llama(3);
  EXPECT_EQ(unused_tensors(model->spec(), *source).size(), 9u);
  const std::string warning = unused_tensors_warning(model->spec(), *source);
  EXPECT_NE(
      warning.find("no use for 9 of the checkpoint's tensors (model.layers.3.input_layernorm"),
      std::string::npos)
      << warning;
  EXPECT_NE(warning.find(", ...)"), std::string::npos) << warning;
  EXPECT_NE(warning.find("num_hidden_layers"), std::string::npos) << warning;
}

TEST(UnusedTensors, WhatEveryCheckpointMayCarryIsNotNamed) {
  const auto model = llama(1);
  std::vector<DummyTensor> tensors = dummy_tensors(model->spec());
  for (const char* name :
       {"model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight",
        "model.rotary_emb.inv_freq", "transformer.h.0.attn.bias", "h.0.attn.masked_bias"}) {
    tensors.push_back({name, DType::f32, {2}});
  }
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", DType::f32, {64}});
  const auto source = make_dummy_source(std::move(tensors), 0);
  EXPECT_EQ(unused_tensors(model->spec(), *source),
            std::vector<std::string>{"model.layers.0.self_attn.q_proj.bias"});
}

TEST(UnusedTensors, NamesWithoutThePrefixAreKnown) {
  const auto model = llama(1);
  std::vector<DummyTensor> tensors = dummy_tensors(model->spec());
  for (DummyTensor& tensor : tensors)
    tensor.name = tensor.name.substr(std::string("model.").size());
  const auto source = make_dummy_source(std::move(tensors), 0);
  EXPECT_TRUE(unused_tensors(model->spec(), *source).empty());
}

}  // namespace
}  // namespace trireme
