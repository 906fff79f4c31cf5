// T5 and flan-T5 (T5ForConditionalGeneration): an encoder-decoder with RMSNorm, no biases, and
// positions that show only in how far a key stands from the query. After transformers' modeling_t5
// and Raffel et al., arXiv 1910.10683.
#include <cmath>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

struct T5Config {
  float layer_norm_epsilon = 1e-6f;
  Activation activation = Activation::relu;
  bool gated = false;
  bool tied = true;  ///< the head is the embedding, and its input is scaled by d_model^-1/2
  std::int64_t num_buckets = 32;
  std::int64_t max_distance = 128;
  std::int64_t num_layers = 0;
  std::int64_t num_decoder_layers = 0;
};

class Embed : public Block {
 public:
  explicit Embed(const LayerBuilder& b) : shared_(b, "shared.weight") {}
  Tensor forward(Forward& f, Tensor) const override { return shared_(f, f.token_ids); }

 private:
  VocabParallelEmbedding shared_;
};

/// x += o(attention(norm(x))), with the bias of distances.
class SelfAttention {
 public:
  SelfAttention(const LayerBuilder& b, const T5Config& config, std::int64_t cache_layer,
                bool bidirectional)
      : norm_(b, "self.norm.weight", config.layer_norm_epsilon),
        qkv_(b, {"self.q.weight", "self.k.weight", "self.v.weight"}),
        bias_(b, "self.bias.weight",
              {.num_buckets = config.num_buckets,
               .max_distance = config.max_distance,
               .bidirectional = bidirectional}),
        attention_(b.model, b.shard, {.cache_layer = cache_layer}),
        o_(b, "self.o.weight") {}

  void add_to(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = norm_(f, x);
    h = qkv_(f, h);                  // [tokens, 3 * heads_local * d_kv]
    h = attention_(f, h, bias_(f));  // [tokens, heads_local * d_kv]
    h = o_(f, h);                    // [tokens, d_model]
    add(f, x, h);
  }

 private:
  RMSNorm norm_;
  ColumnParallelLinear qkv_;
  RelativePositionBias bias_;
  Attention attention_;
  RowParallelLinear o_;
};

/// x += o(attention over the source(norm(x))).
class SourceAttention {
 public:
  SourceAttention(const LayerBuilder& b, const T5Config& config, std::int64_t cache_layer)
      : norm_(b, "cross.norm.weight", config.layer_norm_epsilon),
        q_(b, {"cross.q.weight"}),
        kv_(b, {"cross.k.weight", "cross.v.weight"}),
        attention_(b.model, b.shard, {.cache_layer = cache_layer}),
        o_(b, "cross.o.weight") {}

  void keep(Forward& f, Tensor source) const { attention_.keep(f, kv_(f, source)); }

  void add_to(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = norm_(f, x);
    h = q_(f, h);          // [tokens, heads_local * d_kv]
    h = attention_(f, h);  // the same
    h = o_(f, h);          // [tokens, d_model]
    add(f, x, h);
  }

 private:
  RMSNorm norm_;
  ColumnParallelLinear q_;
  ColumnParallelLinear kv_;
  CrossAttention attention_;
  RowParallelLinear o_;
};

/// x += wo(activation(wi(norm(x)))), or gated: wo(activation(wi_0(norm(x))) * wi_1(norm(x))).
class FeedForward {
 public:
  FeedForward(const LayerBuilder& b, const T5Config& config)
      : norm_(b, "ff.norm.weight", config.layer_norm_epsilon),
        wi_(config.gated ? ColumnParallelLinear(b, {"ff.wi_0.weight", "ff.wi_1.weight"})
                         : ColumnParallelLinear(b, {"ff.wi.weight"})),
        wo_(b, "ff.wo.weight"),
        activation_(config.activation),
        gated_(config.gated) {}

  void add_to(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = norm_(f, x);
    h = wi_(f, h);  // [tokens, d_ff_local], or twice as many columns
    if (gated_) {
      h = activate_and_mul(f, activation_, h);
    } else {
      activate(f, activation_, h);
    }
    h = wo_(f, h);  // [tokens, d_model]
    add(f, x, h);
  }

 private:
  RMSNorm norm_;
  ColumnParallelLinear wi_;
  RowParallelLinear wo_;
  Activation activation_;
  bool gated_;
};

class EncoderLayer : public Block {
 public:
  EncoderLayer(const LayerBuilder& b, const T5Config& config, std::int64_t cache_layer)
      : self_(b, config, cache_layer, true), feed_forward_(b, config) {}
  Tensor forward(Forward& f, Tensor x) const override {
    self_.add_to(f, x);
    feed_forward_.add_to(f, x);
    return x;  // [source tokens, d_model]
  }

 private:
  SelfAttention self_;
  FeedForward feed_forward_;
};

class DecoderLayer : public Block {
 public:
  DecoderLayer(const LayerBuilder& b, const T5Config& config, std::int64_t cache_layer)
      : self_(b, config, cache_layer, false),
        source_(b, config, cache_layer),
        feed_forward_(b, config) {}
  Tensor forward(Forward& f, Tensor x) const override {
    self_.add_to(f, x);
    source_.add_to(f, x);
    feed_forward_.add_to(f, x);
    return x;  // [tokens, d_model]
  }
  void keep_source(Forward& f, Tensor source) const override { source_.keep(f, source); }

 private:
  SelfAttention self_;
  SourceAttention source_;
  FeedForward feed_forward_;
};

class FinalNorm : public Block {
 public:
  FinalNorm(const LayerBuilder& b, const T5Config& config)
      : norm_(b, "final_layer_norm.weight", config.layer_norm_epsilon) {}
  Tensor forward(Forward& f, Tensor x) const override {
    norm_.in_place(f, x);
    return x;
  }

 private:
  RMSNorm norm_;
};

class Head : public Block {
 public:
  Head(const LayerBuilder& b, const T5Config& config)
      : norm_(b, "final_layer_norm.weight", config.layer_norm_epsilon),
        lm_head_(b, {"lm_head.weight"}),
        scale_(config.tied
                   ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(b.model.hidden_size)))
                   : 1.0f) {}
  Tensor forward(Forward& f, Tensor x) const override {
    const Tensor h = norm_(f, x);
    if (scale_ != 1.0f) scale(f, h, scale_);
    return lm_head_(f, h);  // [rows, vocab_local]
  }

 private:
  RMSNorm norm_;
  ColumnParallelLinear lm_head_;
  float scale_;
};

class T5Model : public Model {
 public:
  T5Model(ModelSpec spec, const T5Config& config) : config_(config) { spec_ = std::move(spec); }

  std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                               std::int64_t cache_layer) const override {
    switch (spec_.blocks[static_cast<std::size_t>(block)].kind) {
      case BlockKind::embed:
        return std::make_unique<Embed>(builder);
      case BlockKind::norm:
        return std::make_unique<FinalNorm>(builder, config_);
      case BlockKind::head:
        return std::make_unique<Head>(builder, config_);
      case BlockKind::layer:
        break;
    }
    if (block < spec_.encoder_blocks) {
      return std::make_unique<EncoderLayer>(builder, config_, cache_layer);
    }
    return std::make_unique<DecoderLayer>(builder, config_, cache_layer);
  }

 private:
  T5Config config_;
};

/// The parameters of one block; `prefix` is "encoder.block.0.".
class LayerParameters {
 public:
  LayerParameters(const ModelSpec& model, const T5Config& config, std::string side,
                  std::int64_t index)
      : model_(model),
        config_(config),
        side_(std::move(side)),
        name_(fmt::format("{}.block.{}", side_, index)) {}

  BlockSpec encoder() {
    self_attention();
    feed_forward(1);
    BlockSpec block{BlockKind::layer, name_, std::move(list_)};
    block.cache = CacheUse::step;
    return block;
  }

  BlockSpec decoder() {
    self_attention();
    attention("cross.", "layer.1.EncDecAttention.");
    norm("cross.norm", 1);
    feed_forward(2);
    return {BlockKind::layer, name_, std::move(list_)};
  }

 private:
  void add(std::string key, const std::string& tensor, std::int64_t rows, std::int64_t cols,
           ShardSpec shard) {
    list_.push_back({std::move(key), tensor, rows, cols, shard});
  }
  void norm(const std::string& key, int layer) {
    add(key + ".weight", fmt::format("{}.layer.{}.layer_norm.weight", name_, layer),
        model_.hidden_size, 0, {});
  }
  void attention(const std::string& key, const std::string& part) {
    const std::int64_t inner = model_.num_attention_heads * model_.head_dim;
    const std::string tensor = name_ + "." + part;
    const std::int64_t d = model_.hidden_size;
    add(key + "q.weight", tensor + "q.weight", inner, d, {ShardAxis::heads, 0});
    add(key + "k.weight", tensor + "k.weight", inner, d, {ShardAxis::kv_heads, 0});
    add(key + "v.weight", tensor + "v.weight", inner, d, {ShardAxis::kv_heads, 0});
    add(key + "o.weight", tensor + "o.weight", d, inner, {ShardAxis::heads, 1});
  }
  void self_attention() {
    attention("self.", "layer.0.SelfAttention.");
    norm("self.norm", 0);
    // The first layer's serves all.
    add("self.bias.weight", side_ + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        config_.num_buckets, model_.num_attention_heads, {});
    list_.back().table = true;
  }
  void feed_forward(int layer) {
    const std::string tensor = fmt::format("{}.layer.{}.DenseReluDense.", name_, layer);
    const std::int64_t d = model_.hidden_size;
    const std::int64_t d_ff = model_.intermediate_size;
    norm("ff.norm", layer);
    for (const char* wi : {"wi", "wi_0", "wi_1"}) {
      if (config_.gated == (std::string_view(wi) == "wi")) continue;
      add(fmt::format("ff.{}.weight", wi), fmt::format("{}{}.weight", tensor, wi), d_ff, d,
          {ShardAxis::mlp, 0});
    }
    add("ff.wo.weight", tensor + "wo.weight", d, d_ff, {ShardAxis::mlp, 1});
  }

  const ModelSpec& model_;
  const T5Config& config_;
  std::string side_;
  std::string name_;
  std::vector<ParameterSpec> list_;
};

void add_blocks(ModelSpec& spec, const T5Config& config) {
  const std::int64_t d = spec.hidden_size;
  const ParameterSpec shared{
      "shared.weight", "shared.weight", spec.vocab_size, d, {ShardAxis::vocab, 0}};
  ParameterSpec head = shared;
  head.key = "lm_head.weight";
  if (!config.tied) head.tensor = "lm_head.weight";
  const auto final_norm = [&](const char* side) {
    return ParameterSpec{
        "final_layer_norm.weight", fmt::format("{}.final_layer_norm.weight", side), d, 0, {}};
  };
  spec.blocks.push_back({BlockKind::embed, "encoder.embed_tokens", {shared}});
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    spec.blocks.push_back(LayerParameters(spec, config, "encoder", i).encoder());
  }
  spec.blocks.push_back({BlockKind::norm, "encoder.final_layer_norm", {final_norm("encoder")}});
  spec.encoder_blocks = static_cast<std::int64_t>(spec.blocks.size());
  spec.blocks.push_back({BlockKind::embed, "decoder.embed_tokens", {shared}});
  for (std::int64_t i = 0; i < config.num_decoder_layers; ++i) {
    spec.blocks.push_back(LayerParameters(spec, config, "decoder", i).decoder());
  }
  spec.blocks.push_back({BlockKind::head, "lm_head", {final_norm("decoder"), head}});
}

void read_feed_forward(const HfConfig& config, T5Config& t5) {
  const std::string name = config.string_or("feed_forward_proj", "relu");
  t5.gated = name.starts_with("gated-");
  const std::string activation = t5.gated ? name.substr(name.find('-') + 1) : name;
  if (name == "gated-gelu" || activation == "gelu_new") {
    t5.activation = Activation::gelu_tanh;
  } else if (activation == "gelu") {
    t5.activation = Activation::gelu_erf;
  } else if (activation == "relu") {
    t5.activation = Activation::relu;
  } else if (activation == "silu") {
    t5.activation = Activation::silu;
  } else {
    config.reject("feed_forward_proj", "relu, gelu, gelu_new or silu, or one of them after gated-");
  }
}

T5Config read_t5(const HfConfig& config) {
  constexpr std::int64_t most_buckets = 4096;
  T5Config t5;
  t5.layer_norm_epsilon =
      static_cast<float>(config.number_within("layer_norm_epsilon", 0, 1).value_or(1e-6));
  read_feed_forward(config, t5);
  t5.tied = config.boolean_or("tie_word_embeddings", true);
  t5.num_buckets = config.size_or("relative_attention_num_buckets", 32, most_buckets);
  t5.max_distance = config.size_or("relative_attention_max_distance", 128, most_buckets);
  if (t5.num_buckets % 4 != 0) config.reject("relative_attention_num_buckets", "a multiple of 4");
  if (t5.max_distance <= t5.num_buckets / 2) {
    config.reject("relative_attention_max_distance",
                  "more than half of relative_attention_num_buckets");
  }
  t5.num_layers = config.size("num_layers", SizeLimits::layers);
  t5.num_decoder_layers = config.size_or("num_decoder_layers", t5.num_layers, SizeLimits::layers);
  return t5;
}

}  // namespace

std::unique_ptr<Model> make_t5(const HfConfig& config, DType dtype) {
  ModelSpec spec{.architecture = "T5ForConditionalGeneration", .dtype = dtype};
  const T5Config t5 = read_t5(config);
  spec.hidden_size = config.size("d_model", SizeLimits::hidden);
  spec.num_attention_heads = spec.num_key_value_heads = config.size("num_heads", SizeLimits::heads);
  spec.head_dim = config.size("d_kv", SizeLimits::head_dim);
  spec.intermediate_size = config.size("d_ff", SizeLimits::intermediate);
  spec.vocab_size = config.size("vocab_size", SizeLimits::vocabulary);
  spec.max_positions = config.size_or("n_positions", 512, SizeLimits::positions);
  spec.any_positions = true;
  spec.score_distances = ScoreDistances{.reach = t5.max_distance}.columns();
  add_blocks(spec, t5);
  spec.cut();
  return std::make_unique<T5Model>(std::move(spec), t5);
}

}  // namespace trireme
