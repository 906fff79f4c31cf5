// torch.nn.Transformer (TorchTransformer): an encoder and a decoder over rows of numbers instead of
// tokens, as PyTorch's examples of model parallelism build it, under PyTorch's own parameter names.
// Its config.json is ours, with the names of nn.Transformer's arguments (docs/adding-a-model.md).
#include <cmath>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

struct TorchConfig {
  float layer_norm_eps = 1e-5f;
  Activation activation = Activation::relu;
  bool norm_first = false;
  bool bias = true;
  /// One nn.TransformerEncoderLayer and one nn.TransformerDecoderLayer, "encoder." and "decoder.",
  /// without the norms that nn.Transformer ends with.
  bool bare_layers = false;
  std::string prefix;  ///< in front of all names
};

class Features : public Block {
 public:
  explicit Features(std::int64_t hidden_size) : hidden_size_(hidden_size) {}
  Tensor forward(Forward& f, Tensor) const override { return features(f, hidden_size_); }

 private:
  std::int64_t hidden_size_;
};

/// x = norm(x + part(x)), or with norm_first x + part(norm(x)).
class Residual {
 public:
  Residual(const LayerBuilder& b, const TorchConfig& config, const std::string& norm)
      : norm_(b, norm + ".weight", norm + ".bias", config.layer_norm_eps),
        first_(config.norm_first) {}

  template <typename Part>
  void apply(Forward& f, Tensor x, const Part& part) const {
    const Workspace::Scope scope(f.scratch);
    add(f, x, part(first_ ? norm_(f, x) : x));
    if (!first_) norm_.in_place(f, x);
  }

 private:
  LayerNorm norm_;
  bool first_;
};

class SelfAttention {
 public:
  SelfAttention(const LayerBuilder& b, const TorchConfig& config,
                const Attention::Config& attention)
      : residual_(b, config, "norm1"),
        qkv_(b, {"self.q.weight", "self.k.weight", "self.v.weight"},
             {"self.q.bias", "self.k.bias", "self.v.bias"}),
        attention_(b.model, b.shard, attention),
        out_(b, "self.out.weight", "self.out.bias") {}

  void apply(Forward& f, Tensor x) const {
    residual_.apply(f, x, [&](Tensor h) {
      h = qkv_(f, h);        // [rows, 3 * heads_local * head_dim]
      h = attention_(f, h);  // [rows, heads_local * head_dim]
      return out_(f, h);     // [rows, d_model]
    });
  }

 private:
  Residual residual_;
  ColumnParallelLinear qkv_;
  Attention attention_;
  RowParallelLinear out_;
};

class SourceAttention {
 public:
  SourceAttention(const LayerBuilder& b, const TorchConfig& config,
                  const Attention::Config& attention)
      : residual_(b, config, "norm2"),
        q_(b, {"cross.q.weight"}, {"cross.q.bias"}),
        kv_(b, {"cross.k.weight", "cross.v.weight"}, {"cross.k.bias", "cross.v.bias"}),
        attention_(b.model, b.shard, attention),
        out_(b, "cross.out.weight", "cross.out.bias") {}

  void keep(Forward& f, Tensor source) const { attention_.keep(f, kv_(f, source)); }
  void apply(Forward& f, Tensor x) const {
    residual_.apply(f, x, [&](Tensor h) {
      h = q_(f, h);          // [rows, heads_local * head_dim]
      h = attention_(f, h);  // the same
      return out_(f, h);     // [rows, d_model]
    });
  }

 private:
  Residual residual_;
  ColumnParallelLinear q_;
  ColumnParallelLinear kv_;
  CrossAttention attention_;
  RowParallelLinear out_;
};

class FeedForward {
 public:
  FeedForward(const LayerBuilder& b, const TorchConfig& config, const std::string& norm)
      : residual_(b, config, norm),
        linear1_(b, {"linear1.weight"}, {"linear1.bias"}),
        linear2_(b, "linear2.weight", "linear2.bias"),
        activation_(config.activation) {}

  void apply(Forward& f, Tensor x) const {
    residual_.apply(f, x, [&](Tensor h) {
      h = linear1_(f, h);  // [rows, dim_feedforward_local]
      activate(f, activation_, h);
      return linear2_(f, h);  // [rows, d_model]
    });
  }

 private:
  Residual residual_;
  ColumnParallelLinear linear1_;
  RowParallelLinear linear2_;
  Activation activation_;
};

class EncoderLayer : public Block {
 public:
  EncoderLayer(const LayerBuilder& b, const TorchConfig& config, const Attention::Config& attention)
      : self_(b, config, attention), feed_forward_(b, config, "norm2") {}
  Tensor forward(Forward& f, Tensor x) const override {
    self_.apply(f, x);
    feed_forward_.apply(f, x);
    return x;  // [source rows, d_model]
  }

 private:
  SelfAttention self_;
  FeedForward feed_forward_;
};

class DecoderLayer : public Block {
 public:
  DecoderLayer(const LayerBuilder& b, const TorchConfig& config, const Attention::Config& attention)
      : self_(b, config, attention),
        source_(b, config, attention),
        feed_forward_(b, config, "norm3") {}
  Tensor forward(Forward& f, Tensor x) const override {
    self_.apply(f, x);
    source_.apply(f, x);
    feed_forward_.apply(f, x);
    return x;  // [rows, d_model]
  }
  void keep_source(Forward& f, Tensor source) const override { source_.keep(f, source); }

 private:
  SelfAttention self_;
  SourceAttention source_;
  FeedForward feed_forward_;
};

/// The end of the encoder or the decoder: a norm, or nothing.
class End : public Block {
 public:
  End(const LayerBuilder& b, const TorchConfig& config) {
    if (!config.bare_layers) norm_.emplace(b, "norm.weight", "norm.bias", config.layer_norm_eps);
  }
  Tensor forward(Forward& f, Tensor x) const override {
    if (norm_) norm_->in_place(f, x);
    return x;
  }

 private:
  std::optional<LayerNorm> norm_;
};

class TorchTransformer : public Model {
 public:
  TorchTransformer(ModelSpec spec, TorchConfig config) : config_(std::move(config)) {
    spec_ = std::move(spec);
  }

  std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                               std::int64_t cache_layer) const override {
    const Attention::Config attention{
        .cache_layer = cache_layer,
        .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec_.head_dim)))};
    switch (spec_.blocks[static_cast<std::size_t>(block)].kind) {
      case BlockKind::embed:
        return std::make_unique<Features>(spec_.hidden_size);
      case BlockKind::norm:
      case BlockKind::head:
        return std::make_unique<End>(builder, config_);
      case BlockKind::layer:
        break;
    }
    if (block < spec_.encoder_blocks) {
      return std::make_unique<EncoderLayer>(builder, config_, attention);
    }
    return std::make_unique<DecoderLayer>(builder, config_, attention);
  }

 private:
  TorchConfig config_;
};

/// The parameters of one block, under PyTorch's names.
class LayerParameters {
 public:
  LayerParameters(const ModelSpec& model, const TorchConfig& config, std::string name)
      : model_(model), config_(config), name_(std::move(name)) {}

  BlockSpec encoder() {
    attention("self", "self_attn");
    norms(2);
    feed_forward();
    BlockSpec block{BlockKind::layer, name_, std::move(list_)};
    block.cache = CacheUse::step;
    return block;
  }

  BlockSpec decoder() {
    attention("self", "self_attn");
    attention("cross", "multihead_attn");
    norms(3);
    feed_forward();
    return {BlockKind::layer, name_, std::move(list_)};
  }

 private:
  void add(std::string key, const std::string& tensor, std::int64_t rows, std::int64_t cols,
           ShardSpec shard, std::int64_t row_begin = 0, std::int64_t tensor_rows = 0) {
    list_.push_back(
        {std::move(key), name_ + "." + tensor, rows, cols, shard, false, row_begin, tensor_rows});
  }
  /// q, k and v stand one below the other in in_proj.
  void attention(const std::string& key, const std::string& tensor) {
    const std::int64_t d = model_.hidden_size;
    const ShardAxis axes[] = {ShardAxis::heads, ShardAxis::kv_heads, ShardAxis::kv_heads};
    for (std::int64_t i = 0; i < 3; ++i) {
      const std::string part = fmt::format("{}.{}", key, "qkv"[i]);
      const ShardSpec shard{axes[i], 0};
      add(part + ".weight", tensor + ".in_proj_weight", d, d, shard, i * d, 3 * d);
      if (config_.bias) add(part + ".bias", tensor + ".in_proj_bias", d, 0, shard, i * d, 3 * d);
    }
    add(key + ".out.weight", tensor + ".out_proj.weight", d, d, {ShardAxis::heads, 1});
    if (config_.bias) add(key + ".out.bias", tensor + ".out_proj.bias", d, 0, {});
  }
  void norms(int count) {
    for (int i = 1; i <= count; ++i) {
      const std::string norm = fmt::format("norm{}", i);
      add(norm + ".weight", norm + ".weight", model_.hidden_size, 0, {});
      if (config_.bias) add(norm + ".bias", norm + ".bias", model_.hidden_size, 0, {});
    }
  }
  void feed_forward() {
    const std::int64_t d = model_.hidden_size;
    const std::int64_t wide = model_.intermediate_size;
    const ShardSpec by_mlp{ShardAxis::mlp, 0};
    add("linear1.weight", "linear1.weight", wide, d, by_mlp);
    add("linear2.weight", "linear2.weight", d, wide, {ShardAxis::mlp, 1});
    if (!config_.bias) return;
    add("linear1.bias", "linear1.bias", wide, 0, by_mlp);
    add("linear2.bias", "linear2.bias", d, 0, {});
  }

  const ModelSpec& model_;
  const TorchConfig& config_;
  std::string name_;
  std::vector<ParameterSpec> list_;
};

BlockSpec end_block(const ModelSpec& spec, const TorchConfig& config, BlockKind kind,
                    const std::string& side) {
  BlockSpec block{kind, side + ".norm", {}};
  if (config.bare_layers) return block;
  for (const std::string part : {"weight", "bias"}) {
    if (part == "bias" && !config.bias) continue;
    block.parameters.push_back({"norm." + part, side + ".norm." + part, spec.hidden_size, 0, {}});
  }
  return block;
}

void add_side(ModelSpec& spec, const TorchConfig& config, const std::string& side,
              std::int64_t layers) {
  spec.blocks.push_back({BlockKind::embed, side + ".input", {}});
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string name = config.bare_layers ? side : fmt::format("{}.layers.{}", side, i);
    LayerParameters parameters(spec, config, name);
    const bool encoder = spec.encoder_blocks == 0;
    spec.blocks.push_back(encoder ? parameters.encoder() : parameters.decoder());
  }
}

TorchConfig read_torch_config(const HfConfig& config) {
  TorchConfig torch;
  torch.layer_norm_eps =
      static_cast<float>(config.number_within("layer_norm_eps", 0, 1).value_or(1e-5));
  const std::string activation = config.string_or("activation", "relu");
  if (activation != "relu" && activation != "gelu") config.reject("activation", "relu or gelu");
  torch.activation = activation == "relu" ? Activation::relu : Activation::gelu_erf;
  torch.norm_first = config.boolean_or("norm_first", false);
  torch.bias = config.boolean_or("bias", true);
  torch.bare_layers = config.boolean_or("bare_layers", false);
  torch.prefix = config.string_or("prefix", "");
  return torch;
}

}  // namespace

std::unique_ptr<Model> make_torch_transformer(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "TorchTransformer", .dtype = dtype};
  const TorchConfig torch = read_torch_config(config);
  spec.hidden_size = config.size_or("d_model", 512, SizeLimits::hidden);
  spec.num_attention_heads = spec.num_key_value_heads =
      config.size_or("nhead", 8, SizeLimits::heads);
  if (spec.hidden_size % spec.num_attention_heads != 0) {
    config.reject("d_model", "a multiple of nhead");
  }
  spec.head_dim = spec.hidden_size / spec.num_attention_heads;
  spec.intermediate_size = config.size_or("dim_feedforward", 2048, SizeLimits::intermediate);
  spec.max_positions = config.size_or("max_positions", 4096, SizeLimits::positions);
  spec.any_positions = true;
  spec.takes_features = true;
  spec.causal = config.boolean_or("tgt_is_causal", false);
  spec.output = Output::hidden;
  const std::int64_t layers = torch.bare_layers ? 1 : 6;
  const std::string encoder = torch.prefix + "encoder";
  const std::string decoder = torch.prefix + "decoder";
  add_side(spec, torch, encoder, config.size_or("num_encoder_layers", layers, SizeLimits::layers));
  spec.blocks.push_back(end_block(spec, torch, BlockKind::norm, encoder));
  spec.encoder_blocks = static_cast<std::int64_t>(spec.blocks.size());
  add_side(spec, torch, decoder, config.size_or("num_decoder_layers", layers, SizeLimits::layers));
  spec.blocks.push_back(end_block(spec, torch, BlockKind::head, decoder));
  if (torch.bare_layers && spec.num_layers() != 2) {
    config.reject("bare_layers", "false where there is more than one layer on a side");
  }
  spec.cut();
  return std::make_unique<TorchTransformer>(std::move(spec), torch);
}

}  // namespace trireme
