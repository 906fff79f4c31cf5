// Qwen3 (Qwen3ForCausalLM): each query and key head is normalised before it is rotated.
#include "models/families.h"
#include "models/llama.h"

namespace trireme {

namespace {

class Qwen3Layer : public Block {
 public:
  Qwen3Layer(const LayerBuilder& b, const LlamaConfig& config, const Attention::Config& attention,
             const RotaryTables& rotary)
      : input_layernorm_(b, "input_layernorm.weight", config.rms_norm_eps),
        qkv_proj_(b, {"q_proj.weight", "k_proj.weight", "v_proj.weight"},
                  {"q_proj.bias", "k_proj.bias", "v_proj.bias"}),
        q_norm_(b, "q_norm.weight", config.rms_norm_eps),
        k_norm_(b, "k_norm.weight", config.rms_norm_eps),
        attention_(b.model, b.shard, attention),
        o_proj_(b, "o_proj.weight", "o_proj.bias"),
        mlp_(b, config),
        rotary_(rotary) {}

  Tensor forward(Forward& f, Tensor x) const override {
    attend(f, x);
    mlp_.add_to(f, x);
    return x;  // [tokens, hidden]
  }

 private:
  void attend(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    const QkvColumns& columns = attention_.columns();
    Tensor h = input_layernorm_(f, x);
    Tensor qkv = qkv_proj_(f, h);  // [tokens, (heads + 2 kv_heads)_local * head_dim]
    q_norm_.heads_in_place(f, qkv, 0, columns.heads);
    k_norm_.heads_in_place(f, qkv, columns.k(), columns.kv_heads);
    attention_.rotate(f, qkv, rotary_);
    h = attention_(f, qkv);  // [tokens, heads_local * head_dim]
    h = o_proj_(f, h);       // [tokens, hidden]
    add(f, x, h);
  }

  RMSNorm input_layernorm_;
  ColumnParallelLinear qkv_proj_;
  RMSNorm q_norm_;
  RMSNorm k_norm_;
  Attention attention_;
  RowParallelLinear o_proj_;
  LlamaMlp mlp_;
  const RotaryTables& rotary_;
};

class Qwen3Model : public LlamaModel {
 public:
  using LlamaModel::LlamaModel;

 private:
  std::unique_ptr<Block> build_layer(const LayerBuilder& builder,
                                     std::int64_t cache_layer) const override {
    return std::make_unique<Qwen3Layer>(builder, config_, attention_config(builder, cache_layer),
                                        rotary_);
  }
};

}  // namespace

std::unique_ptr<Model> make_qwen3(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "Qwen3ForCausalLM"};
  LlamaConfig llama;
  read_llama_sizes(config, dtype,
                   {.num_key_value_heads = 32, .head_dim = 128, .max_position_embeddings = 32768},
                   spec, llama);
  llama.qkv_bias = llama.o_bias = config.boolean_or("attention_bias", false);
  llama.qk_norm = true;
  read_qwen_windows(config, spec, llama);
  return std::make_unique<Qwen3Model>(std::move(spec), std::move(llama));
}

}  // namespace trireme
