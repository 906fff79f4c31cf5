// GPT-2 (GPT2LMHeadModel, GPT2ForSequenceClassification): learned positions, LayerNorm, one fused
// c_attn, all with biases; its Conv1D keeps weights as [in, out]. After transformers'
// modeling_gpt2.
#include <cmath>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

struct Gpt2Config {
  float layer_norm_epsilon = 1e-5f;
  Activation activation = Activation::gelu_tanh;
  bool scale_attn_weights = true;
  bool scale_attn_by_inverse_layer_idx = false;
};

class Embed : public Block {
 public:
  explicit Embed(const LayerBuilder& b) : wte_(b, "wte.weight"), wpe_(b, "wpe.weight") {}

  Tensor forward(Forward& f, Tensor) const override {
    const Tensor x = wte_(f, f.token_ids);  // [tokens, n_embd]
    wpe_.add_to(f, x, f.positions);
    return x;
  }

 private:
  VocabParallelEmbedding wte_;
  EmbeddingTable wpe_;
};

class Gpt2Layer : public Block {
 public:
  Gpt2Layer(const LayerBuilder& b, const Gpt2Config& config, const Attention::Config& attention)
      : ln_1_(b, "ln_1.weight", "ln_1.bias", config.layer_norm_epsilon),
        c_attn_(b, {"attn.q.weight", "attn.k.weight", "attn.v.weight"},
                {"attn.q.bias", "attn.k.bias", "attn.v.bias"}),
        attention_(b.model, b.shard, attention),
        attn_c_proj_(b, "attn.c_proj.weight", "attn.c_proj.bias"),
        ln_2_(b, "ln_2.weight", "ln_2.bias", config.layer_norm_epsilon),
        c_fc_(b, {"mlp.c_fc.weight"}, {"mlp.c_fc.bias"}),
        mlp_c_proj_(b, "mlp.c_proj.weight", "mlp.c_proj.bias"),
        activation_(config.activation) {}

  Tensor forward(Forward& f, Tensor x) const override {
    attend(f, x);
    mlp(f, x);
    return x;  // [tokens, n_embd]
  }

 private:
  void attend(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = ln_1_(f, x);
    Tensor qkv = c_attn_(f, h);  // [tokens, 3 * heads_local * head_dim]
    h = attention_(f, qkv);      // [tokens, heads_local * head_dim]
    h = attn_c_proj_(f, h);      // [tokens, n_embd]
    add(f, x, h);
  }

  void mlp(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = ln_2_(f, x);
    h = c_fc_(f, h);  // [tokens, n_inner_local]
    activate(f, activation_, h);
    h = mlp_c_proj_(f, h);  // [tokens, n_embd]
    add(f, x, h);
  }

  LayerNorm ln_1_;
  ColumnParallelLinear c_attn_;
  Attention attention_;
  RowParallelLinear attn_c_proj_;
  LayerNorm ln_2_;
  ColumnParallelLinear c_fc_;
  RowParallelLinear mlp_c_proj_;
  Activation activation_;
};

class Head : public Block {
 public:
  Head(const LayerBuilder& b, float eps)
      : ln_f_(b, "ln_f.weight", "ln_f.bias", eps), lm_head_(b, {"lm_head.weight"}) {}
  Tensor forward(Forward& f, Tensor x) const override { return lm_head_(f, ln_f_(f, x)); }

 private:
  LayerNorm ln_f_;
  ColumnParallelLinear lm_head_;
};

/// What the last token has become, to labels.
class ClassifierHead : public Block {
 public:
  ClassifierHead(const LayerBuilder& b, float eps)
      : ln_f_(b, "ln_f.weight", "ln_f.bias", eps), score_(b, "score.weight") {}
  Tensor forward(Forward& f, Tensor x) const override {
    const Tensor last = pool(f, Pooling::last, false, x);  // [sequences, n_embd]
    return score_(f, ln_f_(f, last));                      // [sequences, num_labels]
  }

 private:
  LayerNorm ln_f_;
  ReplicatedLinear score_;
};

class Gpt2Model : public Model {
 public:
  Gpt2Model(ModelSpec spec, const Gpt2Config& config) : config_(config) { spec_ = std::move(spec); }

  std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                               std::int64_t cache_layer) const override {
    switch (spec_.blocks[static_cast<std::size_t>(block)].kind) {
      case BlockKind::embed:
        return std::make_unique<Embed>(builder);
      case BlockKind::head:
        if (spec_.output == Output::labels) {
          return std::make_unique<ClassifierHead>(builder, config_.layer_norm_epsilon);
        }
        return std::make_unique<Head>(builder, config_.layer_norm_epsilon);
      case BlockKind::norm:
      case BlockKind::layer:
        break;
    }
    const Attention::Config attention{.cache_layer = cache_layer, .scale = scale(block - 1)};
    return std::make_unique<Gpt2Layer>(builder, config_, attention);
  }

 private:
  float scale(std::int64_t layer) const {
    double scale = 1.0;
    if (config_.scale_attn_weights) scale /= std::sqrt(static_cast<double>(spec_.head_dim));
    if (config_.scale_attn_by_inverse_layer_idx) scale /= static_cast<double>(layer + 1);
    return static_cast<float>(scale);
  }

  Gpt2Config config_;
};

Activation read_activation(const HfConfig& config) {
  const std::string name = config.string_or("activation_function", "gelu_new");
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "relu") return Activation::relu;
  if (name == "silu" || name == "swish") return Activation::silu;
  config.reject("activation_function", "gelu_new, gelu_pytorch_tanh, gelu, relu or silu");
}

/// Weight and bias of one Conv1D, of which this parameter takes rows [row_begin, row_begin + rows).
void add_conv1d(std::vector<ParameterSpec>& out, const std::string& prefix, const std::string& key,
                const std::string& tensor, std::int64_t rows, std::int64_t cols, ShardSpec shard,
                std::int64_t row_begin = 0, std::int64_t tensor_rows = 0) {
  const ShardSpec bias_shard = shard.dim == 0 ? shard : ShardSpec{};
  out.push_back({key + ".weight", prefix + tensor + ".weight", rows, cols, shard, true, row_begin,
                 tensor_rows});
  out.push_back({key + ".bias", prefix + tensor + ".bias", rows, 0, bias_shard, false, row_begin,
                 tensor_rows});
}

std::vector<ParameterSpec> layer_parameters(const ModelSpec& m, const std::string& prefix) {
  std::vector<ParameterSpec> out;
  const std::int64_t d = m.hidden_size;
  const auto norm = [&](const std::string& name) {
    out.push_back({name + ".weight", prefix + name + ".weight", d, 0, {}});
    out.push_back({name + ".bias", prefix + name + ".bias", d, 0, {}});
  };
  const ShardSpec by_heads{ShardAxis::heads, 0};
  norm("ln_1");
  add_conv1d(out, prefix, "attn.q", "attn.c_attn", d, d, by_heads, 0, 3 * d);
  add_conv1d(out, prefix, "attn.k", "attn.c_attn", d, d, {ShardAxis::kv_heads, 0}, d, 3 * d);
  add_conv1d(out, prefix, "attn.v", "attn.c_attn", d, d, {ShardAxis::kv_heads, 0}, 2 * d, 3 * d);
  add_conv1d(out, prefix, "attn.c_proj", "attn.c_proj", d, d, {ShardAxis::heads, 1});
  norm("ln_2");
  add_conv1d(out, prefix, "mlp.c_fc", "mlp.c_fc", m.intermediate_size, d, {ShardAxis::mlp, 0});
  add_conv1d(out, prefix, "mlp.c_proj", "mlp.c_proj", d, m.intermediate_size, {ShardAxis::mlp, 1});
  return out;
}

void add_blocks(ModelSpec& spec, std::int64_t layers, bool tied) {
  const std::int64_t d = spec.hidden_size;
  const ParameterSpec wte{
      "wte.weight", "transformer.wte.weight", spec.vocab_size, d, {ShardAxis::vocab, 0}};
  ParameterSpec wpe{"wpe.weight", "transformer.wpe.weight", spec.max_positions, d, {}};
  wpe.table = true;
  ParameterSpec head = wte;
  head.key = "lm_head.weight";
  if (!tied) head.tensor = "lm_head.weight";
  spec.blocks.push_back({BlockKind::embed, "transformer.wte", {wte, wpe}});
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string name = "transformer.h." + std::to_string(i);
    spec.blocks.push_back({BlockKind::layer, name, layer_parameters(spec, name + ".")});
  }
  if (spec.output == Output::labels) {
    head = {"score.weight", "score.weight", spec.output_size, d, {}};
    for (BlockSpec& block : spec.blocks) block.cache = CacheUse::step;
  }
  spec.blocks.push_back({BlockKind::head,
                         spec.output == Output::labels ? "score" : "lm_head",
                         {{"ln_f.weight", "transformer.ln_f.weight", d, 0, {}},
                          {"ln_f.bias", "transformer.ln_f.bias", d, 0, {}},
                          head}});
}

}  // namespace

std::unique_ptr<Model> make_gpt2(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "GPT2LMHeadModel", .dtype = dtype};
  spec.hidden_size = config.size("n_embd", SizeLimits::hidden);
  spec.num_attention_heads = spec.num_key_value_heads = config.size("n_head", SizeLimits::heads);
  if (spec.hidden_size % spec.num_attention_heads != 0) {
    config.reject("n_embd", "a multiple of n_head");
  }
  spec.head_dim = spec.hidden_size / spec.num_attention_heads;
  spec.intermediate_size =
      config.size_or("n_inner", 4 * spec.hidden_size, SizeLimits::intermediate);
  spec.vocab_size = config.size("vocab_size", SizeLimits::vocabulary);
  spec.max_positions = config.size_or("n_positions", 1024, SizeLimits::positions);
  if (config.boolean_or("add_cross_attention", false)) {
    config.reject("add_cross_attention", "false (a decoder on its own)");
  }
  if (config.is_sequence_classifier()) {
    spec.architecture = "GPT2ForSequenceClassification";
    spec.output = Output::labels;
    spec.output_size = config.num_labels();
    spec.whole_sequences = true;
  }
  add_blocks(spec, config.size("n_layer", SizeLimits::layers),
             config.boolean_or("tie_word_embeddings", true));
  spec.cut();
  Gpt2Config gpt2;
  gpt2.layer_norm_epsilon =
      static_cast<float>(config.number_within("layer_norm_epsilon", 0, 1).value_or(1e-5));
  gpt2.activation = read_activation(config);
  gpt2.scale_attn_weights = config.boolean_or("scale_attn_weights", true);
  gpt2.scale_attn_by_inverse_layer_idx =
      config.boolean_or("scale_attn_by_inverse_layer_idx", false);
  return std::make_unique<Gpt2Model>(std::move(spec), gpt2);
}

}  // namespace trireme
