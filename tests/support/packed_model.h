// A whole Llama of random GPTQ or AWQ words, wide enough for several groups, virtual shards and
// tails.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/packed_checkpoint.h"

namespace trireme {

struct PackedLlama {
  std::string method = "gptq";  ///< or "awq"
  std::int64_t group = 128;
  std::int64_t hidden = 256;
  std::int64_t intermediate = 1408;
  std::int64_t layers = 3;
  std::int64_t heads = 8;
  std::int64_t kv_heads = 2;
  std::int64_t vocabulary = 640;
  std::string dtype = "float32";

  std::int64_t head_dim() const { return hidden / heads; }

  std::string config() const {
    const auto number = [](const char* key, std::int64_t value) {
      return "\"" + std::string(key) + "\": " + std::to_string(value) + ", ";
    };
    return "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", " +
           number("hidden_size", hidden) + number("intermediate_size", intermediate) +
           number("num_hidden_layers", layers) + number("num_attention_heads", heads) +
           number("num_key_value_heads", kv_heads) + number("vocab_size", vocabulary) +
           number("max_position_embeddings", 1024) + number("eos_token_id", 2) +
           "\"rms_norm_eps\": 1e-06, \"rope_theta\": 10000.0, \"tie_word_embeddings\": false, " +
           "\"dtype\": \"" + dtype + "\", \"quantization_config\": {\"quant_method\": \"" + method +
           "\", \"bits\": 4, \"group_size\": " + std::to_string(group) + "}}";
  }

  PackedCheckpoint checkpoint(std::uint32_t seed = 1) const {
    PackedCheckpoint all(seed);
    all.add_halves("model.embed_tokens.weight", {vocabulary, hidden}, 1.0f);
    all.add_halves("lm_head.weight", {vocabulary, hidden}, 0.1f);
    all.add_halves("model.norm.weight", {hidden}, 0.1f, 1.0f);
    for (std::int64_t layer = 0; layer < layers; ++layer) add_layer(all, layer);
    return all;
  }

  /// config.json and model.safetensors.
  void write(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << config();
    checkpoint().write(folder / "model.safetensors");
  }

 private:
  void add_layer(PackedCheckpoint& all, std::int64_t layer) const {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const auto matrix = [&](const char* name, std::int64_t n, std::int64_t k) {
      method == "awq" ? all.add_awq(prefix + name, n, k, group)
                      : all.add_gptq(prefix + name, n, k, group);
    };
    for (const char* norm : {"input_layernorm.weight", "post_attention_layernorm.weight"}) {
      all.add_halves(prefix + norm, {hidden}, 0.1f, 1.0f);
    }
    matrix("self_attn.q_proj", hidden, hidden);
    matrix("self_attn.k_proj", kv_heads * head_dim(), hidden);
    matrix("self_attn.v_proj", kv_heads * head_dim(), hidden);
    matrix("self_attn.o_proj", hidden, hidden);
    matrix("mlp.gate_proj", intermediate, hidden);
    matrix("mlp.up_proj", intermediate, hidden);
    matrix("mlp.down_proj", hidden, intermediate);
  }
};

}  // namespace trireme
