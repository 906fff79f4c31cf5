// The layers that models are written with. They own communication: a model built from them never
// mentions a rank. Names are Megatron's.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "layers/forward.h"
#include "layers/parameter_store.h"

namespace trireme {

/// What a layer is built from: the block's parameters, this rank's shard and where to declare.
struct LayerBuilder {
  const ModelSpec& model;
  const BlockSpec& block;
  const TensorShard& shard;
  ParameterStore& store;

  const ParameterSpec& parameter(std::string_view key) const;
  ParameterPart part(std::string_view key) const;
  /// Null where the block has no such parameter (an optional bias).
  const PackedVector* vector(std::string_view key) const;
  const PackedVector* vector(std::initializer_list<std::string_view> keys) const;
};

/// y = x W^T + b with the output dimension cut over the tensor-parallel group: each rank computes
/// its own columns of y from all of x. Several parameters (q, k, v; gate, up) make one product.
class ColumnParallelLinear {
 public:
  /// `weights`: keys stacked in order; `biases` likewise, or none.
  ColumnParallelLinear(const LayerBuilder& builder, std::initializer_list<std::string_view> weights,
                       std::initializer_list<std::string_view> biases = {});
  /// x: [tokens, in_features] -> [tokens, out_features_local]
  Tensor operator()(Forward& forward, Tensor x) const;
  std::int64_t out_features_local() const { return weight_.shape().n; }

 private:
  const PackedMatrix& weight_;
  const PackedVector* bias_;
};

/// y = x W^T + b with the input dimension cut: each rank multiplies its own columns of x, and the
/// partial sums meet in the fixed tree of the model's virtual shards.
class RowParallelLinear {
 public:
  RowParallelLinear(const LayerBuilder& builder, std::string_view weight,
                    std::string_view bias = {});
  /// x: [tokens, in_features_local] -> [tokens, out_features], the same bits on every rank
  Tensor operator()(Forward& forward, Tensor x) const;

 private:
  RowParallelLinear(const LayerBuilder& builder, const ParameterSpec& weight,
                    std::string_view bias);

  TreeSum sum_;
  std::vector<Range> subtrees_;  ///< largest subtrees held, in local shard numbers
  const PackedMatrix& weight_;
  const PackedVector* bias_;
};

/// Rows of a table cut over the vocabulary; out-of-range rows come from the rank that holds them.
class VocabParallelEmbedding {
 public:
  VocabParallelEmbedding(const LayerBuilder& builder, std::string_view weight);
  /// token ids [tokens] -> [tokens, hidden_size]
  Tensor operator()(Forward& forward, std::span<const std::int32_t> ids) const;

 private:
  Range vocab_;
  TreeSum sum_;
  const PackedMatrix& table_;
};

/// y = x W^T + b, all of it on every rank: for the few rows at a model's end.
class ReplicatedLinear {
 public:
  ReplicatedLinear(const LayerBuilder& builder, std::string_view weight,
                   std::string_view bias = {});
  /// x: [rows, in_features] -> [rows, out_features]
  Tensor operator()(Forward& forward, Tensor x) const;

 private:
  const PackedMatrix& weight_;
  const PackedVector* bias_;
};

/// Learned vectors, of positions (GPT-2's wpe) or kinds of tokens: x += table[index].
class EmbeddingTable {
 public:
  EmbeddingTable(const LayerBuilder& builder, std::string_view weight);
  /// Adds row `indices[i]` + `offset` to row i of x [tokens, dim].
  void add_to(Forward& forward, Tensor x, std::span<const std::int32_t> indices,
              std::int64_t offset = 0) const;
  /// Adds one row to every row of x.
  void add_row_to(Forward& forward, Tensor x, std::int64_t row) const;

 private:
  std::int64_t dim_;
  const PackedVector& table_;
};

class RMSNorm {
 public:
  RMSNorm(const LayerBuilder& builder, std::string_view weight, float eps);
  /// [tokens, dim] -> [tokens, dim], a new matrix
  Tensor operator()(Forward& forward, Tensor x) const;
  void in_place(Forward& forward, Tensor x) const { normalize(forward, x, x); }
  /// Normalises each of `heads` heads within columns [column, column + heads * dim), in place.
  void heads_in_place(Forward& forward, Tensor x, std::int64_t column, std::int64_t heads) const;

 private:
  void normalize(Forward& forward, Tensor x, Tensor y) const;

  const PackedVector& weight_;
  float eps_;
};

class LayerNorm {
 public:
  LayerNorm(const LayerBuilder& builder, std::string_view weight, std::string_view bias, float eps);
  /// [tokens, dim] -> [tokens, dim], a new matrix
  Tensor operator()(Forward& forward, Tensor x) const;
  void in_place(Forward& forward, Tensor x) const { normalize(forward, x, x); }

 private:
  void normalize(Forward& forward, Tensor x, Tensor y) const;

  const PackedVector& weight_;
  const PackedVector* bias_;
  float eps_;
};

/// Tables of cos and sin per position, shared by all layers of a rank: [max_positions,
/// rotary_dim/2], in the backend's memory.
struct RotaryTables {
  std::int64_t rotary_dim = 0;
  DeviceBuffer cos;
  DeviceBuffer sin;
};

/// Where q, k and v of this rank stand within a fused [q | k | v] projection.
struct QkvColumns {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;

  std::int64_t k() const { return heads * head_dim; }
  std::int64_t v() const { return (heads + kv_heads) * head_dim; }
};

/// Attention over the paged cache, for this rank's heads; the step says what a token sees
/// (SequenceSpan::keys).
class Attention {
 public:
  struct Config {
    std::int64_t cache_layer = 0;  ///< index into Forward::caches
    float scale = 1.0f;
    std::int64_t window = 0;  ///< 0: none
  };
  Attention(const ModelSpec& model, const TensorShard& shard, const Config& config);

  const QkvColumns& columns() const { return columns_; }
  /// Rotates q and k within qkv, in place.
  void rotate(Forward& forward, Tensor qkv, const RotaryTables& tables) const;
  /// qkv: [tokens, (heads + 2 kv_heads) * head_dim] -> [tokens, heads * head_dim]
  Tensor operator()(Forward& forward, Tensor qkv, const ScoreDistances& distances = {}) const;

 private:
  Config config_;
  QkvColumns columns_;
  std::vector<std::int32_t> kv_head_of_;
};

/// A decoder's attention over its source (Forward::sources), whose keys and values are kept in the
/// same cache as the decoder's own, in blocks of their own.
class CrossAttention {
 public:
  CrossAttention(const ModelSpec& model, const TensorShard& shard, const Attention::Config& config);

  /// kv: [source tokens, 2 * heads * head_dim]
  void keep(Forward& forward, Tensor kv) const;
  /// q: [tokens, heads * head_dim] -> the same shape
  Tensor operator()(Forward& forward, Tensor q) const;

 private:
  Attention::Config config_;
  QkvColumns columns_;
  std::vector<std::int32_t> kv_head_of_;
};

/// T5's relative position bias: a learned number per head and bucket of distances. Near distances
/// have a bucket each, farther ones share buckets that grow with the distance's logarithm.
class RelativePositionBias {
 public:
  struct Config {
    std::int64_t num_buckets = 32;
    std::int64_t max_distance = 128;
    bool bidirectional = true;  ///< keys behind the query have buckets of their own
  };
  RelativePositionBias(const LayerBuilder& builder, std::string_view weight, const Config& config);
  /// This rank's heads, in scratch memory.
  ScoreDistances operator()(Forward& forward) const;

 private:
  std::int64_t heads_;  ///< of this rank
  std::int64_t reach_;
  std::vector<std::int32_t> entries_;  ///< of the table, of each held head's columns
  const PackedVector& table_;          ///< [num_buckets, heads]
};

/// silu(gate) * up over [gate | up]: [tokens, 2 n] -> [tokens, n]
Tensor silu_and_mul(Forward& forward, Tensor gate_up);
/// activation(gate) * up over [gate | up]: [tokens, 2 n] -> [tokens, n]
Tensor activate_and_mul(Forward& forward, Activation kind, Tensor gate_up);

/// One vector for each sequence: [tokens, dim] -> [sequences, dim]
Tensor pool(Forward& forward, Pooling kind, bool normalize, Tensor x);

/// Applies an activation function in place.
void activate(Forward& forward, Activation kind, Tensor x);

/// x *= factor
void scale(Forward& forward, Tensor x, float factor);

/// The step's rows of given numbers, as they came: [tokens, hidden_size]
Tensor features(Forward& forward, std::int64_t hidden_size);

/// x += y
void add(Forward& forward, Tensor x, Tensor y);

}  // namespace trireme
