// Mistral (MistralForCausalLM): Llama's layer, seeing only the last `sliding_window` positions.
#include "models/families.h"
#include "models/llama.h"

namespace trireme {

std::unique_ptr<Model> make_mistral(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "MistralForCausalLM"};
  LlamaConfig llama;
  read_llama_sizes(config, dtype, {.num_key_value_heads = 8, .max_position_embeddings = 131072},
                   spec, llama);
  if (!config.is_null("sliding_window")) {
    llama.sliding_windows.assign(spec.blocks.size() - 2,
                                 config.size_or("sliding_window", default_sliding_window));
  }
  return std::make_unique<LlamaModel>(std::move(spec), std::move(llama));
}

}  // namespace trireme
