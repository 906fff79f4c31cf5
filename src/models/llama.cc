// Llama 2, 3, 3.1, 3.2, 3.3 (LlamaForCausalLM, LlamaForSequenceClassification), after transformers'
// modeling_llama.
#include "models/llama.h"

#include <cmath>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

class Embed : public Block {
 public:
  explicit Embed(const LayerBuilder& builder) : embed_tokens_(builder, "embed_tokens.weight") {}
  Tensor forward(Forward& f, Tensor) const override { return embed_tokens_(f, f.token_ids); }

 private:
  VocabParallelEmbedding embed_tokens_;
};

class LlamaLayer : public Block {
 public:
  LlamaLayer(const LayerBuilder& b, const LlamaConfig& config, const Attention::Config& attention,
             const RotaryTables& rotary)
      : input_layernorm_(b, "input_layernorm.weight", config.rms_norm_eps),
        qkv_proj_(b, {"q_proj.weight", "k_proj.weight", "v_proj.weight"},
                  {"q_proj.bias", "k_proj.bias", "v_proj.bias"}),
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
    Tensor h = input_layernorm_(f, x);
    Tensor qkv = qkv_proj_(f, h);  // [tokens, (heads + 2 kv_heads)_local * head_dim]
    attention_.rotate(f, qkv, rotary_);
    h = attention_(f, qkv);  // [tokens, heads_local * head_dim]
    h = o_proj_(f, h);       // [tokens, hidden]
    add(f, x, h);
  }

  RMSNorm input_layernorm_;
  ColumnParallelLinear qkv_proj_;
  Attention attention_;
  RowParallelLinear o_proj_;
  LlamaMlp mlp_;
  const RotaryTables& rotary_;
};

class Head : public Block {
 public:
  Head(const LayerBuilder& builder, float eps)
      : norm_(builder, "norm.weight", eps), lm_head_(builder, {"lm_head.weight"}) {}
  Tensor forward(Forward& f, Tensor x) const override { return lm_head_(f, norm_(f, x)); }

 private:
  RMSNorm norm_;
  ColumnParallelLinear lm_head_;
};

/// What the last token has become, to labels.
class ClassifierHead : public Block {
 public:
  ClassifierHead(const LayerBuilder& b, float eps)
      : norm_(b, "norm.weight", eps), score_(b, "score.weight") {}
  Tensor forward(Forward& f, Tensor x) const override {
    const Tensor last = pool(f, Pooling::last, false, x);  // [sequences, hidden]
    return score_(f, norm_(f, last));                      // [sequences, num_labels]
  }

 private:
  RMSNorm norm_;
  ReplicatedLinear score_;
};

/// Parameters of one layer; `prefix` is "model.layers.N.".
std::vector<ParameterSpec> layer_parameters(const ModelSpec& m, const LlamaConfig& c,
                                            const std::string& prefix) {
  const std::int64_t q = m.num_attention_heads * m.head_dim;
  const std::int64_t kv = m.num_key_value_heads * m.head_dim;
  const std::int64_t hidden = m.hidden_size;
  const std::int64_t mlp = m.intermediate_size;
  std::vector<ParameterSpec> out;
  const auto add = [&](std::string_view group, std::string_view name, std::int64_t rows,
                       std::int64_t cols, ShardSpec shard) {
    const std::string key(name);
    out.push_back({key, prefix + std::string(group) + key, rows, cols, shard});
  };
  const ShardSpec whole{};
  const ShardSpec by_heads{ShardAxis::heads, 0};
  const ShardSpec by_kv_heads{ShardAxis::kv_heads, 0};
  const ShardSpec by_mlp{ShardAxis::mlp, 0};

  add("", "input_layernorm.weight", hidden, 0, whole);
  add("self_attn.", "q_proj.weight", q, hidden, by_heads);
  add("self_attn.", "k_proj.weight", kv, hidden, by_kv_heads);
  add("self_attn.", "v_proj.weight", kv, hidden, by_kv_heads);
  add("self_attn.", "o_proj.weight", hidden, q, {ShardAxis::heads, 1});
  if (c.qkv_bias) {
    add("self_attn.", "q_proj.bias", q, 0, by_heads);
    add("self_attn.", "k_proj.bias", kv, 0, by_kv_heads);
    add("self_attn.", "v_proj.bias", kv, 0, by_kv_heads);
  }
  if (c.o_bias) add("self_attn.", "o_proj.bias", hidden, 0, whole);
  if (c.qk_norm) {
    add("self_attn.", "q_norm.weight", m.head_dim, 0, whole);
    add("self_attn.", "k_norm.weight", m.head_dim, 0, whole);
  }
  add("", "post_attention_layernorm.weight", hidden, 0, whole);
  add("mlp.", "gate_proj.weight", mlp, hidden, by_mlp);
  add("mlp.", "up_proj.weight", mlp, hidden, by_mlp);
  add("mlp.", "down_proj.weight", hidden, mlp, {ShardAxis::mlp, 1});
  if (c.mlp_bias) {
    add("mlp.", "gate_proj.bias", mlp, 0, by_mlp);
    add("mlp.", "up_proj.bias", mlp, 0, by_mlp);
    add("mlp.", "down_proj.bias", hidden, 0, whole);
  }
  return out;
}

}  // namespace

LlamaMlp::LlamaMlp(const LayerBuilder& b, const LlamaConfig& config)
    : post_attention_layernorm_(b, "post_attention_layernorm.weight", config.rms_norm_eps),
      gate_up_proj_(b, {"gate_proj.weight", "up_proj.weight"}, {"gate_proj.bias", "up_proj.bias"}),
      down_proj_(b, "down_proj.weight", "down_proj.bias") {}

void LlamaMlp::add_to(Forward& f, Tensor x) const {
  const Workspace::Scope scope(f.scratch);
  Tensor h = post_attention_layernorm_(f, x);
  h = gate_up_proj_(f, h);  // [tokens, 2 * intermediate_local]
  h = silu_and_mul(f, h);   // [tokens, intermediate_local]
  h = down_proj_(f, h);     // [tokens, hidden]
  add(f, x, h);
}

namespace {

void read_heads(const HfConfig& config, const LlamaDefaults& defaults, ModelSpec& spec) {
  const std::int64_t heads = config.size("num_attention_heads", SizeLimits::heads);
  const bool as_many = defaults.num_key_value_heads == 0 || config.is_null("num_key_value_heads");
  spec.num_attention_heads = heads;
  spec.num_key_value_heads =
      config.size_or("num_key_value_heads", as_many ? heads : defaults.num_key_value_heads);
  if (heads % spec.num_key_value_heads != 0) {
    if (config.has("num_key_value_heads")) {
      config.reject("num_key_value_heads", "a divisor of num_attention_heads");
    }
    config.reject("num_key_value_heads",
                  fmt::format("it to be given: {}, which it then is, does not divide {} heads",
                              spec.num_key_value_heads, heads));
  }
  spec.head_dim = config.size_or("head_dim", defaults.head_dim > 0 ? defaults.head_dim : 1,
                                 SizeLimits::head_dim);
  if (config.has("head_dim") || defaults.head_dim > 0) return;
  if (spec.hidden_size % heads != 0) {
    config.reject("hidden_size", "a multiple of num_attention_heads");
  }
  spec.head_dim = spec.hidden_size / heads;
}

}  // namespace

void read_llama_sizes(const HfConfig& config, DType dtype, const LlamaDefaults& defaults,
                      ModelSpec& spec, LlamaConfig& llama) {
  spec.dtype = dtype;
  spec.hidden_size = config.size("hidden_size", SizeLimits::hidden);
  read_heads(config, defaults, spec);
  spec.intermediate_size = config.size("intermediate_size", SizeLimits::intermediate);
  spec.vocab_size = config.size("vocab_size", SizeLimits::vocabulary);
  const std::int64_t max_positions = config.size_or(
      "max_position_embeddings", defaults.max_position_embeddings, SizeLimits::positions);
  const std::string activation = config.string_or("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {  // two names of one function
    config.reject("hidden_act", "\"silu\", the only activation of this family");
  }
  if (config.is_sequence_classifier()) {
    spec.output = Output::labels;
    spec.output_size = config.num_labels();
    spec.whole_sequences = true;
  }
  const std::int64_t layers = config.size("num_hidden_layers", SizeLimits::layers);
  spec.blocks.resize(static_cast<std::size_t>(layers) + 2);
  llama.rms_norm_eps =
      static_cast<float>(config.number_within("rms_norm_eps", 0, 1).value_or(1e-6));
  llama.tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  llama.rope = read_rope(config, spec.head_dim, max_positions);
  spec.max_positions = usable_positions(llama.rope, max_positions);
}

void read_qwen_windows(const HfConfig& config, const ModelSpec& spec, LlamaConfig& llama) {
  if (!config.boolean_or("use_sliding_window", false)) return;
  if (config.is_null("sliding_window")) return;
  const std::int64_t window = config.size_or("sliding_window", default_sliding_window);
  const std::size_t layers = spec.blocks.size() - 2;
  const std::vector<std::string> types = config.strings("layer_types");
  if (!types.empty() && types.size() != layers) {
    config.reject("layer_types", "one entry per hidden layer");
  }
  for (const std::string& type : types) {
    if (type == "sliding_attention" || type == "full_attention") continue;
    config.reject("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer");
  }
  const std::int64_t first = config.integer("max_window_layers").value_or(28);
  for (std::size_t i = 0; i < layers; ++i) {
    const bool sliding =
        types.empty() ? static_cast<std::int64_t>(i) >= first : types[i] == "sliding_attention";
    llama.sliding_windows.push_back(sliding ? window : 0);
  }
}

void finish_llama_spec(ModelSpec& spec, const LlamaConfig& llama) {
  const ShardSpec by_vocab{ShardAxis::vocab, 0};
  const ParameterSpec embed{"embed_tokens.weight", "model.embed_tokens.weight", spec.vocab_size,
                            spec.hidden_size, by_vocab};
  ParameterSpec head = embed;
  head.key = "lm_head.weight";
  if (!llama.tie_word_embeddings) head.tensor = "lm_head.weight";

  spec.rotary_dim = llama.rope.rotary_dim;
  spec.blocks.front() = {BlockKind::embed, "model.embed_tokens", {embed}};
  for (std::size_t i = 1; i + 1 < spec.blocks.size(); ++i) {
    const std::string name = "model.layers." + std::to_string(i - 1);
    spec.blocks[i] = {BlockKind::layer, name, layer_parameters(spec, llama, name + ".")};
    if (!llama.sliding_windows.empty()) {
      spec.blocks[i].sliding_window = llama.sliding_windows[i - 1];
    }
  }
  if (spec.output == Output::labels) {
    head = {"score.weight", "score.weight", spec.output_size, spec.hidden_size, {}};
    for (BlockSpec& block : spec.blocks) block.cache = CacheUse::step;
  }
  const ParameterSpec norm{"norm.weight", "model.norm.weight", spec.hidden_size, 0, {}};
  spec.blocks.back() = {
      BlockKind::head, spec.output == Output::labels ? "score" : "lm_head", {norm, head}};
  spec.cut();
}

LlamaModel::LlamaModel(ModelSpec spec, LlamaConfig config) : config_(std::move(config)) {
  finish_llama_spec(spec, config_);
  spec_ = std::move(spec);
}

void LlamaModel::prepare(const Backend& backend, std::int64_t max_positions) {
  rotary_ = rope_tables(config_.rope, max_positions, backend);
}

Attention::Config LlamaModel::attention_config(const LayerBuilder& builder,
                                               std::int64_t cache_layer) const {
  return {.cache_layer = cache_layer,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec_.head_dim))),
          .window = builder.block.sliding_window};
}

std::unique_ptr<Block> LlamaModel::build(const LayerBuilder& builder, std::int64_t block,
                                         std::int64_t cache_layer) const {
  switch (spec_.blocks[static_cast<std::size_t>(block)].kind) {
    case BlockKind::embed:
      return std::make_unique<Embed>(builder);
    case BlockKind::head:
      if (spec_.output == Output::labels) {
        return std::make_unique<ClassifierHead>(builder, config_.rms_norm_eps);
      }
      return std::make_unique<Head>(builder, config_.rms_norm_eps);
    case BlockKind::norm:
    case BlockKind::layer:
      break;
  }
  return build_layer(builder, cache_layer);
}

std::unique_ptr<Block> LlamaModel::build_layer(const LayerBuilder& builder,
                                               std::int64_t cache_layer) const {
  return std::make_unique<LlamaLayer>(builder, config_, attention_config(builder, cache_layer),
                                      rotary_);
}

std::unique_ptr<Model> make_llama(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "LlamaForCausalLM"};
  LlamaConfig llama;
  read_llama_sizes(config, dtype, {}, spec, llama);
  llama.qkv_bias = llama.o_bias = config.boolean_or("attention_bias", false);
  llama.mlp_bias = config.boolean_or("mlp_bias", false);
  return std::make_unique<LlamaModel>(std::move(spec), std::move(llama));
}

}  // namespace trireme
