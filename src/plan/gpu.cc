#include "plan/gpu.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace trireme {

namespace {

constexpr std::int64_t mebi = std::int64_t{1} << 20;
constexpr std::int64_t float_bytes = 4;

/// Sums of single shards are kept for so many rows, whatever that takes ...
constexpr std::int64_t few_rows = 16;
constexpr std::int64_t few_quantized_rows = 128;
/// ... and for more within this.
constexpr std::int64_t most_partial_bytes = 64 * mebi;
/// Elements of the tiles that all multiprocessors of the largest GPU work on at a time.
constexpr std::int64_t most_in_tiles = std::int64_t{192} * 256 * 128;

/// Scratch memory of one matrix product.
std::int64_t product_bytes(const ParameterSpec& parameter, const ModelSpec& model,
                           const TensorShard& shard, std::int64_t rows) {
  const std::vector<std::int64_t> widths = shard_widths(parameter, model, shard);
  const WeightFormat format = model.format_of(parameter);
  const std::int64_t n = slice_of(parameter, model, shard).rows.size();
  const auto shards = static_cast<std::int64_t>(widths.size());
  // Bytes of a row: as integers, rounded for tensor cores, or float32.
  const std::int64_t element = format.group > 0 ? 1 : float_bytes;
  std::int64_t input = 0;
  for (const std::int64_t width : widths) input += round_up(width, 64) * element;
  if (format.group > 0) input += 8 * shards * ceil_div(widths[0], format.group);
  const std::int64_t bytes = round_up(rows, 8) * input;
  if (shards < 2) return bytes;
  const auto partials = [&](std::int64_t of) { return shards * of * n * float_bytes; };
  const std::int64_t apart = format.group > 0
                                 ? partials(std::min(rows, few_quantized_rows))
                                 : std::max(partials(std::min(rows, few_rows)),
                                            std::min(partials(rows), most_partial_bytes));
  const std::int64_t levels = std::bit_width(static_cast<std::uint64_t>(shards - 1));
  const std::int64_t tiles = round_up(n, 256) * round_up(rows, 128) * shards;
  return bytes + std::max(apart, levels * std::min(tiles, most_in_tiles) * float_bytes);
}

/// Partial results (the largest score, the sum of weights, the sum of values) of splits of 256 keys
/// of rows that are few in their sequence.
std::int64_t attention_bytes(const ModelSpec& model, const TensorShard& shard,
                             const MemoryLimits& limits) {
  if (model.dtype == DType::f32 || shard.heads.empty()) return 0;
  constexpr std::int64_t most = 256 * mebi;
  constexpr std::uint64_t split = 256;
  const auto keys = static_cast<std::uint64_t>(
      std::max({limits.max_model_len, limits.max_source_len, static_cast<std::int64_t>(split)}));
  const auto splits = static_cast<std::int64_t>(std::bit_ceil(keys) / split);
  if (splits < 2) return 0;
  const std::int64_t heads = model.num_attention_heads / model.num_key_value_heads;
  const std::int64_t rows = std::min(
      limits.max_sequences * std::max<std::int64_t>(1, few_rows / heads), limits.max_step_tokens);
  return std::min(most, rows * shard.heads.size() * splits * (model.head_dim + 2) * float_bytes);
}

/// Of choosing tokens: ids and marks of all logits of some rows, and bins that they are counted in.
std::int64_t drawing_bytes(const ModelSpec& model) {
  constexpr std::int64_t bins_bytes = std::int64_t{64} << 10;
  return logit_rows * (model.vocab_size * 5 + bins_bytes);
}

}  // namespace

int ranks_per_gpu(int local_ranks, int gpus) {
  return std::max(1, (std::max(1, local_ranks) + std::max(1, gpus) - 1) / std::max(1, gpus));
}

std::int64_t gpu_scratch_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               const MemoryLimits& limits) {
  std::int64_t most = attention_bytes(model, shard, limits);
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    const BlockSpec& block = model.blocks[static_cast<std::size_t>(i)];
    const bool head = block.kind == BlockKind::head && model.output == Output::logits;
    const std::int64_t rows =
        head ? std::min(logit_rows, limits.max_step_tokens) : limits.max_step_tokens;
    for (const ParameterSpec& parameter : block.parameters) {
      if (parameter.is_vector() || parameter.table) continue;
      most = std::max(most, product_bytes(parameter, model, shard, rows));
    }
    if (head) most = std::max(most, drawing_bytes(model));
  }
  // It grows by powers of two.
  return static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(most, mebi))));
}

std::int64_t gpu_bytes_to_come(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               const MemoryLimits& limits) {
  return gpu_scratch_bytes(model, shard, blocks, limits) +
         step_cache_bytes(model, shard, blocks, limits);
}

CacheRequest gpu_cache_request(const MemoryLimits& limits, std::int64_t asked_bytes,
                               std::span<const GpuRank> ranks, int ranks_per_gpu) {
  CacheRequest request{.limits = limits,
                       .asked_bytes = asked_bytes,
                       .ranks_per_host = ranks_per_gpu,
                       .takes_all = true};
  // Ranks without layers have room for any cache.
  double fewest = 0;
  bool found = false;
  for (const GpuRank& rank : ranks) {
    if (rank.kv_block == 0) continue;
    const double blocks = static_cast<double>(rank.left) / static_cast<double>(rank.kv_block);
    if (asked_bytes > 0) {
      request.block_bytes = std::max(request.block_bytes, rank.kv_block);
    } else if (!found || blocks < fewest) {
      fewest = blocks;
      request.block_bytes = rank.kv_block;
      request.free_bytes = rank.left;
    }
    found = true;
  }
  request.host_block_bytes = request.block_bytes * ranks_per_gpu;
  if (!found) request.free_bytes = std::int64_t{1} << 40;
  return request;
}

}  // namespace trireme
