#include "models/shapes.h"

#include <fmt/ranges.h>

#include "core/error.h"

namespace trireme {

namespace {

struct Shape {
  std::string_view name;
  std::string_view config;
};

constexpr Shape shapes[] = {
    {"tiny",  // for tests: every part of a Llama, a moment's work
     R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
         "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
         "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32,
         "vocab_size": 1000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
         "rope_theta": 10000.0, "tie_word_embeddings": true})"},
    {"gpt2",  // openai-community/gpt2, 124 M parameters
     R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "dtype": "float32",
         "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024,
         "vocab_size": 50257, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05})"},
    {"llama-1b",  // meta-llama/Llama-3.2-1B, 1.24 B parameters
     R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
         "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
         "vocab_size": 128256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
         "rope_theta": 500000.0, "tie_word_embeddings": true,
         "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})"},
    {"llama-8b",  // meta-llama/Llama-3.1-8B, 8.03 B parameters
     R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
         "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
         "vocab_size": 128256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
         "rope_theta": 500000.0, "tie_word_embeddings": false,
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})"},
};

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& shape : shapes) names.emplace_back(shape.name);
  return names;
}

std::string_view shape_config(std::string_view name) {
  for (const Shape& shape : shapes) {
    if (shape.name == name) return shape.config;
  }
  fail(ErrorKind::usage, "there is no shape \"{}\"; known shapes: {}", name,
       fmt::join(shape_names(), ", "));
}

ShapeTexts::ShapeTexts(std::string model)
    : model_(std::move(model)),
      config_(shape_config(std::string_view(model_).substr(shape_prefix.size()))) {}

std::optional<std::string> ShapeTexts::read(std::string_view name) const {
  if (name != "config.json") return std::nullopt;
  return std::string(config_);
}

}  // namespace trireme
