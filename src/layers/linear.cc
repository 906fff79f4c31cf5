// Column- and row-parallel linear layers.
#include <array>

#include "core/error.h"
#include "layers/layers.h"

namespace trireme {

namespace {

std::vector<ParameterPart> parts_of(const LayerBuilder& builder,
                                    std::initializer_list<std::string_view> keys) {
  std::vector<ParameterPart> parts;
  for (const std::string_view key : keys) parts.push_back(builder.part(key));
  return parts;
}

/// Of matrices that are multiplied in one.
WeightFormat format_of(const LayerBuilder& builder,
                       std::initializer_list<std::string_view> weights) {
  const WeightFormat format = builder.model.format_of(builder.parameter(*weights.begin()));
  for (const std::string_view key : weights) {
    TRIREME_ASSERT(builder.model.format_of(builder.parameter(key)) == format);
  }
  return format;
}

const VirtualShards& shards_of(const ModelSpec& model, ShardAxis axis) {
  return axis == ShardAxis::heads ? model.head_shards : model.mlp_shards;
}

Range held_shards(const ModelSpec& model, ShardAxis axis, int size, int rank) {
  const TensorShard shard = tensor_shard(model, size, rank);
  return axis == ShardAxis::heads ? shard.head_shards : shard.mlp_shards;
}

/// Widths of the virtual shards in `held`.
std::vector<std::int64_t> widths(const VirtualShards& shards, Range held) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = held.begin; i < held.end; ++i) sizes.push_back(shards.elements(i).size());
  return sizes;
}

/// x W^T + b, of a matrix whose input dimension is not cut.
Tensor multiply(Forward& forward, Tensor x, const PackedMatrix& weight, const PackedVector* bias) {
  const std::int64_t n = weight.shape().n;
  const Tensor y = forward.scratch.matrix(x.rows, n);
  const ShardSum output{{0, 1}, y.data};
  forward.backend.linear(forward.threads, {.x = x.data,
                                           .m = x.rows,
                                           .ldx = x.cols,
                                           .shape = &weight.shape(),
                                           .w = weight.data(),
                                           .bias = bias == nullptr ? nullptr : bias->data(),
                                           .outputs = {&output, 1},
                                           .ldy = n});
  return y;
}

}  // namespace

ColumnParallelLinear::ColumnParallelLinear(const LayerBuilder& builder,
                                           std::initializer_list<std::string_view> weights,
                                           std::initializer_list<std::string_view> biases)
    : weight_(builder.store.add_matrix(parts_of(builder, weights),
                                       {builder.parameter(*weights.begin()).cols},
                                       format_of(builder, weights))),
      bias_(builder.vector(biases)) {}

Tensor ColumnParallelLinear::operator()(Forward& forward, Tensor x) const {
  return multiply(forward, x, weight_, bias_);
}

ReplicatedLinear::ReplicatedLinear(const LayerBuilder& builder, std::string_view weight,
                                   std::string_view bias)
    : weight_(builder.store.add_matrix({builder.part(weight)}, {builder.parameter(weight).cols},
                                       format_of(builder, {weight}))),
      bias_(bias.empty() ? nullptr : builder.vector(bias)) {}

Tensor ReplicatedLinear::operator()(Forward& forward, Tensor x) const {
  return multiply(forward, x, weight_, bias_);
}

RowParallelLinear::RowParallelLinear(const LayerBuilder& builder, std::string_view weight,
                                     std::string_view bias)
    : RowParallelLinear(builder, builder.parameter(weight), bias) {}

RowParallelLinear::RowParallelLinear(const LayerBuilder& builder, const ParameterSpec& weight,
                                     std::string_view bias)
    : weight_(builder.store.add_matrix({builder.part(weight.key)},
                                       widths(shards_of(builder.model, weight.shard.axis),
                                              held_shards(builder.model, weight.shard.axis,
                                                          builder.shard.size, builder.shard.rank)),
                                       builder.model.format_of(weight))),
      bias_(bias.empty() ? nullptr : builder.vector(bias)) {
  sum_.shard_count = shards_of(builder.model, weight.shard.axis).count();
  for (int rank = 0; rank < builder.shard.size; ++rank) {
    sum_.held.push_back(held_shards(builder.model, weight.shard.axis, builder.shard.size, rank));
  }
  const Range held = sum_.held[static_cast<std::size_t>(builder.shard.rank)];
  for (const Range subtree : largest_subtrees(sum_.shard_count, held)) {
    subtrees_.push_back({subtree.begin - held.begin, subtree.end - held.begin});
  }
}

Tensor RowParallelLinear::operator()(Forward& forward, Tensor x) const {
  const std::int64_t n = weight_.shape().n;
  const Tensor y = forward.scratch.matrix(x.rows, n);
  const Workspace::Scope scope(forward.scratch);
  std::array<ShardSum, 64> outputs;  // a range has at most 2 log2(shards) largest subtrees
  std::array<const float*, 64> partials;
  TRIREME_ASSERT(subtrees_.size() <= outputs.size());
  for (std::size_t i = 0; i < subtrees_.size(); ++i) {
    float* partial = i == 0 ? y.data : forward.scratch.matrix(x.rows, n).data;
    outputs[i] = {subtrees_[i], partial};
    partials[i] = partial;
  }
  const bool whole = sum_.held.size() == 1;  // nothing to exchange: the bias joins in the product
  const float* bias = bias_ == nullptr ? nullptr : bias_->data();
  forward.backend.linear(forward.threads, {.x = x.data,
                                           .m = x.rows,
                                           .ldx = x.cols,
                                           .shape = &weight_.shape(),
                                           .w = weight_.data(),
                                           .bias = whole ? bias : nullptr,
                                           .outputs = {outputs.data(), subtrees_.size()},
                                           .ldy = n});
  if (whole) return y;
  forward.tensor_group.tree_all_reduce(sum_, {partials.data(), subtrees_.size()}, y.size(), y.data);
  if (bias != nullptr) forward.backend.add_bias(forward.threads, y.data, bias, y.rows, n);
  return y;
}

}  // namespace trireme
