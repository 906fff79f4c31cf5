// BERT (BertModel, BertForMaskedLM, BertForSequenceClassification), after transformers'
// modeling_bert: every sum is normalised after it is taken, and attention looks both ways.
#include "models/bert.h"

#include <cmath>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

class Embed : public Block {
 public:
  Embed(const LayerBuilder& b, const BertConfig& config)
      : words_(b, "word_embeddings.weight"),
        positions_(b, "position_embeddings.weight"),
        norm_(b, "norm.weight", "norm.bias", config.layer_norm_eps),
        position_offset_(config.position_offset) {
    if (config.type_vocab_size > 0) types_.emplace(b, "token_type_embeddings.weight");
  }

  Tensor forward(Forward& f, Tensor) const override {
    const Tensor x = words_(f, f.token_ids);  // [tokens, hidden]
    if (types_ && f.type_ids.empty()) {
      types_->add_row_to(f, x, 0);
    } else if (types_) {
      types_->add_to(f, x, f.type_ids);
    }
    positions_.add_to(f, x, f.positions, position_offset_);
    norm_.in_place(f, x);
    return x;
  }

 private:
  VocabParallelEmbedding words_;
  EmbeddingTable positions_;
  std::optional<EmbeddingTable> types_;
  LayerNorm norm_;
  std::int64_t position_offset_;
};

class BertLayer : public Block {
 public:
  BertLayer(const LayerBuilder& b, const BertConfig& config, const Attention::Config& attention)
      : qkv_(b, {"query.weight", "key.weight", "value.weight"},
             {"query.bias", "key.bias", "value.bias"}),
        attention_(b.model, b.shard, attention),
        attention_output_(b, "attention_output.weight", "attention_output.bias"),
        attention_norm_(b, "attention_norm.weight", "attention_norm.bias", config.layer_norm_eps),
        intermediate_(b, {"intermediate.weight"}, {"intermediate.bias"}),
        output_(b, "output.weight", "output.bias"),
        output_norm_(b, "output_norm.weight", "output_norm.bias", config.layer_norm_eps),
        activation_(config.activation) {}

  Tensor forward(Forward& f, Tensor x) const override {
    attend(f, x);
    mlp(f, x);
    return x;  // [tokens, hidden]
  }

 private:
  void attend(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = qkv_(f, x);        // [tokens, 3 * heads_local * head_dim]
    h = attention_(f, h);         // [tokens, heads_local * head_dim]
    h = attention_output_(f, h);  // [tokens, hidden]
    add(f, x, h);
    attention_norm_.in_place(f, x);
  }

  void mlp(Forward& f, Tensor x) const {
    const Workspace::Scope scope(f.scratch);
    Tensor h = intermediate_(f, x);  // [tokens, intermediate_local]
    activate(f, activation_, h);
    h = output_(f, h);  // [tokens, hidden]
    add(f, x, h);
    output_norm_.in_place(f, x);
  }

  ColumnParallelLinear qkv_;
  Attention attention_;
  RowParallelLinear attention_output_;
  LayerNorm attention_norm_;
  ColumnParallelLinear intermediate_;
  RowParallelLinear output_;
  LayerNorm output_norm_;
  Activation activation_;
};

class SentenceHead : public Block {
 public:
  explicit SentenceHead(const SentenceModules& modules) : modules_(modules) {}
  Tensor forward(Forward& f, Tensor x) const override {
    return pool(f, modules_.pooling, modules_.normalize, x);
  }

 private:
  SentenceModules modules_;
};

class MaskedHead : public Block {
 public:
  MaskedHead(const LayerBuilder& b, const BertConfig& config)
      : dense_(b, "dense.weight", "dense.bias"),
        norm_(b, "norm.weight", "norm.bias", config.layer_norm_eps),
        decoder_(b, {"decoder.weight"}, {"decoder.bias"}),
        activation_(config.activation) {}

  Tensor forward(Forward& f, Tensor x) const override {
    const Tensor h = dense_(f, x);  // [rows, hidden]
    activate(f, activation_, h);
    norm_.in_place(f, h);
    return decoder_(f, h);  // [rows, vocab_local]
  }

 private:
  ReplicatedLinear dense_;
  LayerNorm norm_;
  ColumnParallelLinear decoder_;
  Activation activation_;
};

class ClassifierHead : public Block {
 public:
  ClassifierHead(const LayerBuilder& b, const BertConfig& config)
      : dense_(b, "dense.weight", "dense.bias"),
        out_(b, "out.weight", "out.bias"),
        activation_(config.classifier_activation) {}

  Tensor forward(Forward& f, Tensor x) const override {
    const Tensor first = pool(f, Pooling::first, false, x);  // [sequences, hidden]
    const Tensor h = dense_(f, first);
    activate(f, activation_, h);
    return out_(f, h);  // [sequences, num_labels]
  }

 private:
  ReplicatedLinear dense_;
  ReplicatedLinear out_;
  Activation activation_;
};

/// Collects a block's parameters.
class Parameters {
 public:
  void matrix(std::string_view key, std::string tensor, std::int64_t rows, std::int64_t cols,
              ShardSpec shard = {}) {
    list_.push_back({fmt::format("{}.weight", key), tensor + ".weight", rows, cols, shard});
  }
  void bias(std::string_view key, const std::string& tensor, std::int64_t rows,
            ShardSpec shard = {}) {
    list_.push_back({fmt::format("{}.bias", key), tensor + ".bias", rows, 0, shard});
  }
  void linear(std::string_view key, const std::string& tensor, std::int64_t rows, std::int64_t cols,
              ShardSpec shard = {}) {
    matrix(key, tensor, rows, cols, shard);
    bias(key, tensor, rows, shard.dim == 0 ? shard : ShardSpec{});
  }
  void norm(std::string_view key, const std::string& tensor, std::int64_t size) {
    list_.push_back({fmt::format("{}.weight", key), tensor + ".weight", size, 0, {}});
    bias(key, tensor, size);
  }
  void table(std::string_view key, const std::string& tensor, std::int64_t rows,
             std::int64_t cols) {
    matrix(key, tensor, rows, cols);
    list_.back().table = true;
  }
  std::vector<ParameterSpec> take() { return std::move(list_); }

 private:
  std::vector<ParameterSpec> list_;
};

BlockSpec embed_block(const ModelSpec& m, const BertConfig& c, const BertNames& names) {
  const std::string prefix(names.embeddings);
  Parameters p;
  p.matrix("word_embeddings", prefix + "word_embeddings", m.vocab_size, m.hidden_size,
           {ShardAxis::vocab, 0});
  p.table("position_embeddings", prefix + "position_embeddings",
          m.max_positions + c.position_offset, m.hidden_size);
  if (c.type_vocab_size > 0) {
    p.table("token_type_embeddings", prefix + "token_type_embeddings", c.type_vocab_size,
            m.hidden_size);
  }
  p.norm("norm", prefix + "LayerNorm", m.hidden_size);
  return {BlockKind::embed, prefix.substr(0, prefix.size() - 1), p.take()};
}

BlockSpec layer_block(const ModelSpec& m, const BertNames& names, std::int64_t index) {
  const std::string name = std::string(names.layers) + std::to_string(index);
  const auto tensor = [&](std::string_view part) { return fmt::format("{}.{}", name, part); };
  const std::int64_t d = m.hidden_size;
  Parameters p;
  p.linear("query", tensor(names.query), d, d, {ShardAxis::heads, 0});
  p.linear("key", tensor(names.key), d, d, {ShardAxis::kv_heads, 0});
  p.linear("value", tensor(names.value), d, d, {ShardAxis::kv_heads, 0});
  p.linear("attention_output", tensor(names.attention_output), d, d, {ShardAxis::heads, 1});
  p.norm("attention_norm", tensor(names.attention_norm), d);
  p.linear("intermediate", tensor(names.intermediate), m.intermediate_size, d, {ShardAxis::mlp, 0});
  p.linear("output", tensor(names.output), d, m.intermediate_size, {ShardAxis::mlp, 1});
  p.norm("output_norm", tensor(names.output_norm), d);
  BlockSpec block{BlockKind::layer, name, p.take()};
  block.cache = CacheUse::step;
  return block;
}

BlockSpec head_block(const ModelSpec& m, const BertConfig& c, const BertNames& names) {
  const std::int64_t d = m.hidden_size;
  Parameters p;
  if (c.head == EncoderHead::masked_lm) {
    p.linear("dense", std::string(names.masked_dense), d, d);
    p.norm("norm", std::string(names.masked_norm), d);
    p.matrix("decoder", std::string(names.masked_decoder), m.vocab_size, d, {ShardAxis::vocab, 0});
    p.bias("decoder", std::string(names.masked_bias), m.vocab_size, {ShardAxis::vocab, 0});
  } else if (c.head == EncoderHead::classifier) {
    p.linear("dense", std::string(names.classifier_dense), d, d);
    p.linear("out", std::string(names.classifier_out), m.output_size, d);
  }
  return {BlockKind::head, "head", p.take()};
}

}  // namespace

BertModel::BertModel(ModelSpec spec, BertConfig config, const BertNames& names, std::int64_t layers)
    : config_(config) {
  spec.causal = false;
  spec.token_types = config.type_vocab_size;
  spec.whole_sequences = true;
  if (config.head == EncoderHead::classifier) spec.output = Output::labels;
  if (config.head == EncoderHead::sentence) {
    spec.output = Output::sentence;
    spec.output_size = spec.hidden_size;
  }
  spec.blocks.push_back(embed_block(spec, config, names));
  for (std::int64_t i = 0; i < layers; ++i) spec.blocks.push_back(layer_block(spec, names, i));
  spec.blocks.push_back(head_block(spec, config, names));
  spec.cut();
  spec_ = std::move(spec);
}

void BertModel::heed(const ModelTexts& texts) {
  if (config_.head != EncoderHead::sentence) return;
  config_.sentence = read_sentence_modules(texts);
  spec_.max_input_tokens = config_.sentence.max_tokens;
}

std::unique_ptr<Block> BertModel::build(const LayerBuilder& builder, std::int64_t block,
                                        std::int64_t cache_layer) const {
  const Attention::Config attention{
      .cache_layer = cache_layer,
      .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec_.head_dim)))};
  switch (spec_.blocks[static_cast<std::size_t>(block)].kind) {
    case BlockKind::embed:
      return std::make_unique<Embed>(builder, config_);
    case BlockKind::norm:
    case BlockKind::layer:
      return std::make_unique<BertLayer>(builder, config_, attention);
    case BlockKind::head:
      break;
  }
  switch (config_.head) {
    case EncoderHead::masked_lm:
      return std::make_unique<MaskedHead>(builder, config_);
    case EncoderHead::classifier:
      return std::make_unique<ClassifierHead>(builder, config_);
    case EncoderHead::sentence:
      break;
  }
  return std::make_unique<SentenceHead>(config_.sentence);
}

Activation read_encoder_activation(const HfConfig& config, std::string_view key) {
  const std::string name = config.string_or(key, "gelu");
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "silu" || name == "swish") return Activation::silu;
  config.reject(key, "gelu, gelu_new, gelu_pytorch_tanh, relu or silu");
}

EncoderHead encoder_head_of(const HfConfig& config) {
  const std::vector<std::string> names = config.strings("architectures");
  const std::string name = names.empty() ? "" : names.front();
  if (name.ends_with("ForMaskedLM")) return EncoderHead::masked_lm;
  if (config.is_sequence_classifier()) return EncoderHead::classifier;
  return EncoderHead::sentence;
}

void read_bert_sizes(const HfConfig& config, DType dtype, ModelSpec& spec, BertConfig& bert) {
  spec.dtype = dtype;
  spec.hidden_size = config.size("hidden_size", SizeLimits::hidden);
  spec.num_attention_heads = spec.num_key_value_heads =
      config.size("num_attention_heads", SizeLimits::heads);
  if (spec.hidden_size % spec.num_attention_heads != 0) {
    config.reject("hidden_size", "a multiple of num_attention_heads");
  }
  spec.head_dim = spec.hidden_size / spec.num_attention_heads;
  spec.intermediate_size = config.size("intermediate_size", SizeLimits::intermediate);
  spec.vocab_size = config.size("vocab_size", SizeLimits::vocabulary);
  spec.max_positions =
      config.size_or("max_position_embeddings", 512, SizeLimits::positions) - bert.position_offset;
  if (spec.max_positions < 1) config.reject("max_position_embeddings", "a larger number");
  if (config.string_or("position_embedding_type", "absolute") != "absolute") {
    config.reject("position_embedding_type", "\"absolute\"");
  }
  if (config.boolean_or("is_decoder", false)) config.reject("is_decoder", "false (an encoder)");
  bert.type_vocab_size = config.size_or("type_vocab_size", 2, SizeLimits::vocabulary);
  bert.activation = read_encoder_activation(config, "hidden_act");
  bert.layer_norm_eps =
      static_cast<float>(config.number_within("layer_norm_eps", 0, 1).value_or(1e-12));
  bert.head = encoder_head_of(config);
  if (bert.head == EncoderHead::classifier) spec.output_size = config.num_labels();
}

std::unique_ptr<Model> make_bert(const HfConfig& config, DType dtype) {
  constexpr BertNames names{.embeddings = "bert.embeddings.",
                            .layers = "bert.encoder.layer.",
                            .query = "attention.self.query",
                            .key = "attention.self.key",
                            .value = "attention.self.value",
                            .attention_output = "attention.output.dense",
                            .attention_norm = "attention.output.LayerNorm",
                            .intermediate = "intermediate.dense",
                            .output = "output.dense",
                            .output_norm = "output.LayerNorm",
                            .masked_dense = "cls.predictions.transform.dense",
                            .masked_norm = "cls.predictions.transform.LayerNorm",
                            .masked_decoder = "cls.predictions.decoder",
                            .masked_bias = "cls.predictions",
                            .classifier_dense = "bert.pooler.dense",
                            .classifier_out = "classifier"};
  ModelSpec spec{.architecture = "Bert"};
  BertConfig bert;
  read_bert_sizes(config, dtype, spec, bert);
  BertNames used = names;
  if (config.boolean_or("tie_word_embeddings", true)) {
    used.masked_decoder = "bert.embeddings.word_embeddings";
  }
  return std::make_unique<BertModel>(std::move(spec), bert, used,
                                     config.size("num_hidden_layers", SizeLimits::layers));
}

}  // namespace trireme
