#include "plan/memory.h"

#include <algorithm>
#include <set>
#include <string>

namespace trireme {

namespace {

constexpr std::int64_t page = 4096;

/// Bytes of one panel: all virtual shards of the slice.
std::int64_t panel_bytes(const ParameterSpec& parameter, const ModelSpec& model,
                         const ParameterSlice& slice) {
  const WeightFormat format = model.format_of(parameter);
  const ShardAxis axis = parameter.shard.axis;
  const bool cut = parameter.shard.dim == 1 && axis != ShardAxis::none;
  if (!cut) return static_cast<std::int64_t>(packed_shard_bytes(format, slice.cols.size()));
  const VirtualShards& shards = axis == ShardAxis::heads ? model.head_shards : model.mlp_shards;
  std::int64_t bytes = 0;
  for (std::int64_t k = 0; k < slice.cols.size(); k += shards.width()) {
    const std::int64_t width = std::min(shards.width(), slice.cols.size() - k);
    bytes += static_cast<std::int64_t>(packed_shard_bytes(format, width));
  }
  return bytes;
}

std::int64_t parameter_bytes(const ParameterSpec& parameter, const ModelSpec& model,
                             const TensorShard& shard) {
  const ParameterSlice slice = slice_of(parameter, model, shard);
  const bool table = parameter.shard.axis == ShardAxis::none && !parameter.is_vector();
  if (parameter.is_vector() || table) return round_up(slice.elements() * 4, page);
  return ceil_div(slice.rows.size(), packed_panel_rows) * panel_bytes(parameter, model, slice);
}

std::int64_t layers_in(const ModelSpec& model, Range blocks) {
  std::int64_t layers = 0;
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    layers += model.blocks[static_cast<std::size_t>(i)].kind == BlockKind::layer ? 1 : 0;
  }
  return layers;
}

}  // namespace

std::int64_t weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks) {
  std::int64_t bytes = 0;
  std::set<std::string> tables;  // a tied embedding is kept once
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    for (const ParameterSpec& parameter : model.blocks[static_cast<std::size_t>(i)].parameters) {
      if (parameter.shard.axis == ShardAxis::vocab && !tables.insert(parameter.tensor).second) {
        continue;
      }
      bytes += parameter_bytes(parameter, model, shard);
    }
  }
  return bytes;
}

std::int64_t kv_bytes_per_block(const ModelSpec& model, const TensorShard& shard, Range blocks) {
  const auto element = static_cast<std::int64_t>(size_of(model.dtype));
  return layers_in(model, blocks) * 2 * shard.kv_heads.size() * round_up(model.head_dim, 16) *
         kv_block_tokens * element;
}

std::int64_t kv_blocks_wanted(const MemoryLimits& limits) {
  return limits.max_sequences * ceil_div(limits.max_model_len, kv_block_tokens);
}

std::int64_t rotary_bytes(const ModelSpec& model, const MemoryLimits& limits) {
  return model.rotary_dim * limits.max_model_len * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t workspace_floats(const ModelSpec& model, const TensorShard& shard, Range blocks,
                              const MemoryLimits& limits) {
  const std::int64_t hidden = model.hidden_size;
  const std::int64_t heads = shard.heads.size() * model.head_dim;
  const std::int64_t qkv = heads + 2 * shard.kv_heads.size() * model.head_dim;
  const std::int64_t mlp = shard.mlp.size();
  const auto subtrees = static_cast<std::int64_t>(
      std::max(largest_subtrees(model.head_shards.count(), shard.head_shards).size(),
               largest_subtrees(model.mlp_shards.count(), shard.mlp_shards).size()));
  const std::int64_t attention = hidden + qkv + heads + hidden * subtrees;
  const std::int64_t feed_forward = hidden + 3 * mlp + hidden * subtrees;
  constexpr std::int64_t slack = 64 * 16;  // matrices start on cache lines
  std::int64_t floats =
      limits.max_step_tokens * (hidden + std::max(attention, feed_forward)) + slack;
  if (blocks.end == static_cast<std::int64_t>(model.blocks.size())) {
    floats += logit_rows * (2 * hidden + shard.vocab.size());
  }
  return floats;
}

}  // namespace trireme
