// Qwen2 and Qwen2.5 (Qwen2ForCausalLM): Llama's layer with biases on q, k and v.
#include "models/families.h"
#include "models/llama.h"

namespace trireme {

std::unique_ptr<Model> make_qwen2(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "Qwen2ForCausalLM"};
  LlamaConfig llama;
  read_llama_sizes(config, dtype, {.num_key_value_heads = 32, .max_position_embeddings = 32768},
                   spec, llama);
  llama.qkv_bias = true;
  read_qwen_windows(config, spec, llama);
  return std::make_unique<LlamaModel>(std::move(spec), std::move(llama));
}

}  // namespace trireme
