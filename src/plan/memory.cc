#include "plan/memory.h"

#include <algorithm>
#include <set>
#include <string>

namespace trireme {

namespace {

constexpr std::int64_t page = 4096;

/// Bytes of `width` columns of a panel of 64 rows: two strips of integers, or rows of floats.
std::int64_t gpu_panel_bytes(const WeightFormat& format, const std::vector<std::int64_t>& widths) {
  constexpr std::int64_t panel_rows = 64;
  constexpr std::int64_t strip_rows = 32;
  std::int64_t bytes = 0;
  if (format.group == 0) {
    for (const std::int64_t width : widths) bytes += round_up(width, 64);
    return panel_rows * bytes * static_cast<std::int64_t>(size_of(format.dtype));
  }
  // Codes in whole blocks of 32 columns; a float16 scale per group and row, of u4 a zero, too.
  const std::int64_t block_bytes = format.dtype == DType::i8 ? 1024 : 512;
  const std::int64_t group_bytes = strip_rows * (format.dtype == DType::u4 ? 3 : 2);
  for (const std::int64_t width : widths) {
    const std::int64_t blocks =
        width / format.group * ceil_div(format.group, 32) + ceil_div(width % format.group, 32);
    bytes += blocks * block_bytes + ceil_div(width, format.group) * group_bytes;
  }
  return panel_rows / strip_rows * round_up(bytes, 128);
}

std::int64_t matrix_bytes(const WeightFormat& format, std::int64_t rows,
                          const std::vector<std::int64_t>& widths, WeightPacking packing) {
  if (packing == WeightPacking::gpu) return ceil_div(rows, 64) * gpu_panel_bytes(format, widths);
  std::int64_t bytes = 0;
  for (const std::int64_t width : widths) {
    bytes += static_cast<std::int64_t>(packed_shard_bytes(format, width));
  }
  return ceil_div(rows, packed_panel_rows) * bytes;
}

std::int64_t parameter_bytes(const ParameterSpec& parameter, const ModelSpec& model,
                             const TensorShard& shard, WeightPacking packing) {
  const ParameterSlice slice = slice_of(parameter, model, shard);
  if (parameter.is_vector() || parameter.table) return round_up(slice.elements() * 4, page);
  return matrix_bytes(model.format_of(parameter), slice.rows.size(),
                      shard_widths(parameter, model, shard), packing);
}

/// Layers of `blocks` that use the cache so.
std::int64_t layers_in(const ModelSpec& model, Range blocks, CacheUse use) {
  std::int64_t layers = 0;
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    const BlockSpec& block = model.blocks[static_cast<std::size_t>(i)];
    layers += block.kind == BlockKind::layer && block.cache == use ? 1 : 0;
  }
  return layers;
}

/// Bytes of K and V of one layer's block.
std::int64_t layer_block_bytes(const ModelSpec& model, const TensorShard& shard) {
  return 2 * shard.kv_heads.size() * round_up(model.head_dim, 16) * kv_block_tokens *
         static_cast<std::int64_t>(size_of(model.dtype));
}

}  // namespace

std::vector<std::int64_t> shard_widths(const ParameterSpec& parameter, const ModelSpec& model,
                                       const TensorShard& shard) {
  const std::int64_t columns = slice_of(parameter, model, shard).cols.size();
  const ShardAxis axis = parameter.shard.axis;
  const bool cut = parameter.shard.dim == 1 && axis != ShardAxis::none;
  if (!cut) return {columns};
  const VirtualShards& shards = axis == ShardAxis::heads ? model.head_shards : model.mlp_shards;
  std::vector<std::int64_t> widths;
  for (std::int64_t k = 0; k < columns; k += shards.width()) {
    widths.push_back(std::min(shards.width(), columns - k));
  }
  return widths;
}

std::int64_t weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                          WeightPacking packing) {
  std::int64_t bytes = 0;
  std::set<std::string> tables;  // a tied embedding is kept once
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    for (const ParameterSpec& parameter : model.blocks[static_cast<std::size_t>(i)].parameters) {
      if (parameter.shard.axis == ShardAxis::vocab && !tables.insert(parameter.tensor).second) {
        continue;
      }
      bytes += parameter_bytes(parameter, model, shard, packing);
    }
  }
  return bytes;
}

bool stays_on_disk(const ModelSpec& model, Range blocks, std::int64_t disk_begin,
                   std::int64_t block) {
  if (block < disk_begin) return false;
  const auto block_at = [&](std::int64_t i) -> const BlockSpec& {
    return model.blocks[static_cast<std::size_t>(i)];
  };
  for (const ParameterSpec& parameter : block_at(block).parameters) {
    if (parameter.shard.axis != ShardAxis::vocab) continue;
    for (std::int64_t i = blocks.begin; i < disk_begin; ++i) {
      for (const ParameterSpec& other : block_at(i).parameters) {
        if (other.shard.axis == ShardAxis::vocab && other.tensor == parameter.tensor) return false;
      }
    }
  }
  return true;
}

std::int64_t disk_weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               std::int64_t disk_begin) {
  std::int64_t bytes = 0;
  for (std::int64_t i = disk_begin; i < blocks.end; ++i) {
    if (stays_on_disk(model, blocks, disk_begin, i))
      bytes += weight_bytes(model, shard, {i, i + 1});
  }
  return bytes;
}

std::int64_t resident_weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                                   std::int64_t disk_begin, WeightPacking packing) {
  std::int64_t largest = 0;
  for (std::int64_t i = disk_begin; i < blocks.end; ++i) {
    if (!stays_on_disk(model, blocks, disk_begin, i)) continue;
    largest = std::max(largest, weight_bytes(model, shard, {i, i + 1}, packing));
  }
  return weight_bytes(model, shard, {blocks.begin, disk_begin}, packing) + 2 * largest;
}

std::int64_t kv_bytes_per_block(const ModelSpec& model, const TensorShard& shard, Range blocks) {
  return layers_in(model, blocks, CacheUse::kept) * layer_block_bytes(model, shard);
}

std::int64_t step_cache_blocks(const MemoryLimits& limits) {
  return ceil_div(limits.max_step_tokens, kv_block_tokens) +
         std::min(limits.max_sequences, limits.max_step_tokens);
}

std::int64_t step_cache_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                              const MemoryLimits& limits) {
  if (layers_in(model, blocks, CacheUse::step) == 0) return 0;
  return step_cache_blocks(limits) * layer_block_bytes(model, shard);
}

std::int64_t kv_blocks_of_one_sequence(const MemoryLimits& limits) {
  return ceil_div(limits.max_model_len, kv_block_tokens) +
         ceil_div(limits.max_source_len, kv_block_tokens);
}

std::int64_t kv_blocks_wanted(const MemoryLimits& limits) {
  return limits.max_sequences * kv_blocks_of_one_sequence(limits);
}

std::int64_t rotary_bytes(const ModelSpec& model, const MemoryLimits& limits) {
  return model.rotary_dim * limits.max_model_len * static_cast<std::int64_t>(sizeof(float));
}

namespace {

/// What is read from logits on its way to the host, one kind after the other: sums of vocabulary
/// blocks, targets, or a row to draw from whose parts are on several ranks.
std::int64_t read_floats(const ModelSpec& model, const TensorShard& shard) {
  const std::int64_t blocks = ceil_div(shard.vocab.size(), model.vocab_shards.width()) + 1;
  return std::max({2 * logit_rows * blocks, targets_at_once, model.vocab_size});
}

/// What the last block takes: a few hidden rows, and its output.
std::int64_t output_floats(const ModelSpec& model, const TensorShard& shard,
                           const MemoryLimits& limits) {
  constexpr std::int64_t hidden_rows = 4;
  const std::int64_t hidden = model.hidden_size;
  const std::int64_t sequences = std::min(limits.max_sequences, limits.max_step_tokens);
  switch (model.output) {
    case Output::logits:
      return logit_rows * (hidden_rows * hidden + shard.vocab.size()) + read_floats(model, shard);
    case Output::sentence:
    case Output::labels:
      return sequences * (hidden_rows * hidden + model.output_size);
    case Output::hidden:
      break;
  }
  return limits.max_step_tokens * hidden;
}

}  // namespace

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
  const std::int64_t distances = shard.heads.size() * model.score_distances;
  const std::int64_t feed_forward = hidden + 3 * mlp + hidden * subtrees;
  constexpr std::int64_t slack = 64 * 16;  // matrices start on cache lines
  std::int64_t floats =
      limits.max_step_tokens * (hidden + std::max(attention, feed_forward)) + distances + slack;
  if (blocks.end == static_cast<std::int64_t>(model.blocks.size())) {
    floats += output_floats(model, shard, limits);
  }
  return floats;
}

}  // namespace trireme
