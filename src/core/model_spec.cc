#include "core/model_spec.h"

#include "core/error.h"

namespace trireme {

namespace {

/// MLP columns that stay together: an AMX step of 32 where the model is wide enough.
std::int64_t mlp_granule(std::int64_t intermediate_size) {
  return intermediate_size >= 512 ? 32 : 8;
}

/// What `shard` holds of `axis`, in elements of a dimension that counts heads in head_dim elements.
Range held_elements(ShardAxis axis, const ModelSpec& model, const TensorShard& shard) {
  const auto scaled = [&](Range heads) {
    return Range{heads.begin * model.head_dim, heads.end * model.head_dim};
  };
  switch (axis) {
    case ShardAxis::heads:
      return scaled(shard.heads);
    case ShardAxis::kv_heads:
      return scaled(shard.kv_heads);
    case ShardAxis::mlp:
      return shard.mlp;
    case ShardAxis::vocab:
      return shard.vocab;
    case ShardAxis::none:
      break;
  }
  TRIREME_ASSERT(false);
  return {};
}

}  // namespace

std::int64_t ModelSpec::num_layers() const {
  std::int64_t layers = 0;
  for (const BlockSpec& block : blocks) layers += block.kind == BlockKind::layer ? 1 : 0;
  return layers;
}

std::int64_t ModelSpec::max_tensor_parallel() const {
  const std::int64_t layers = std::min(head_shards.count(), mlp_shards.count());
  return vocab_size == 0 ? layers : std::min(layers, vocab_shards.count());
}

void ModelSpec::cut(std::int64_t most) {
  head_shards = VirtualShards(num_attention_heads * head_dim, head_dim, most);
  mlp_shards = VirtualShards(intermediate_size, mlp_granule(intermediate_size), most);
  if (vocab_size == 0) return;
  vocab_shards = VirtualShards(vocab_size, vocab_size >= 256 ? 32 : 1);
}

TensorShard tensor_shard(const ModelSpec& model, int size, int rank) {
  TensorShard shard{.rank = rank, .size = size};
  shard.head_shards = even_part(model.head_shards.count(), size, rank);
  shard.mlp_shards = even_part(model.mlp_shards.count(), size, rank);
  const Range columns = model.head_shards.elements(shard.head_shards);
  shard.heads = {columns.begin / model.head_dim, columns.end / model.head_dim};
  const std::int64_t group = model.num_attention_heads / model.num_key_value_heads;
  shard.kv_heads = {shard.heads.begin / group, ceil_div(shard.heads.end, group)};
  if (shard.heads.empty()) shard.kv_heads = {shard.kv_heads.begin, shard.kv_heads.begin};
  shard.mlp = model.mlp_shards.elements(shard.mlp_shards);
  shard.vocab = model.vocab_shards.elements(even_part(model.vocab_shards.count(), size, rank));
  return shard;
}

ParameterSlice slice_of(const ParameterSpec& parameter, const ModelSpec& model,
                        const TensorShard& shard) {
  ParameterSlice slice{{0, parameter.rows}, {0, parameter.cols}};
  if (parameter.shard.axis == ShardAxis::none) return slice;
  const Range held = held_elements(parameter.shard.axis, model, shard);
  (parameter.shard.dim == 0 ? slice.rows : slice.cols) = held;
  return slice;
}

}  // namespace trireme
