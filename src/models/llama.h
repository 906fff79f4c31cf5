// Llama and the families that share its layer (Mistral, Qwen2): they differ in data only, namely
// which biases exist, the attention window and the names of defaults.
#pragma once

#include <memory>
#include <optional>

#include "models/model.h"
#include "models/rope.h"

namespace trireme {

struct LlamaConfig {
  float rms_norm_eps = 1e-6f;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;  ///< Qwen3: its own layer
  bool tie_word_embeddings = false;
  std::vector<std::int64_t> sliding_windows;  ///< one per layer, 0: none; or empty
  RopeConfig rope;
};

/// The second half of a layer: x += down(silu(gate(norm(x))) * up(norm(x))).
class LlamaMlp {
 public:
  LlamaMlp(const LayerBuilder& builder, const LlamaConfig& config);
  void add_to(Forward& forward, Tensor x) const;

 private:
  RMSNorm post_attention_layernorm_;
  ColumnParallelLinear gate_up_proj_;
  RowParallelLinear down_proj_;
};

/// Llama's decoder; families derive from it to build another layer.
class LlamaModel : public Model {
 public:
  LlamaModel(ModelSpec spec, LlamaConfig config);

  void prepare(const Backend& backend, std::int64_t max_positions) override;
  std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                               std::int64_t cache_layer) const override;

 protected:
  virtual std::unique_ptr<Block> build_layer(const LayerBuilder& builder,
                                             std::int64_t cache_layer) const;
  Attention::Config attention_config(const LayerBuilder& builder, std::int64_t cache_layer) const;

  LlamaConfig config_;
  RotaryTables rotary_;
};

/// What a key means that config.json leaves out: the config classes of transformers differ.
struct LlamaDefaults {
  std::int64_t num_key_value_heads = 0;  ///< 0: as many as query heads
  std::int64_t head_dim = 0;             ///< 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 2048;
};

/// `sliding_window` of a config.json that leaves it out, in the families that have one.
inline constexpr std::int64_t default_sliding_window = 4096;

/// Reads what all these families spell alike. `spec` gets its sizes, blocks and cuts from
/// finish_llama_spec, once the family has set what is its own.
void read_llama_sizes(const HfConfig& config, DType dtype, const LlamaDefaults& defaults,
                      ModelSpec& spec, LlamaConfig& llama);
/// `use_sliding_window` with `layer_types` or `max_window_layers`, as the Qwen families have it.
void read_qwen_windows(const HfConfig& config, const ModelSpec& spec, LlamaConfig& llama);
void finish_llama_spec(ModelSpec& spec, const LlamaConfig& llama);

}  // namespace trireme
