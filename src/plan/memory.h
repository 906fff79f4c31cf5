// How many bytes a rank needs, from the model spec alone: what `plan` prints, and what the runtime
// allocates.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model_spec.h"

namespace trireme {

/// What decides the sizes of caches and activations.
struct MemoryLimits {
  std::int64_t max_model_len = 0;    ///< longest sequence, tokens
  std::int64_t max_sequences = 0;    ///< running at once, per replica
  std::int64_t max_step_tokens = 0;  ///< rows of a micro-batch
  std::int64_t max_source_len = 0;   ///< of an encoder-decoder model: longest source, tokens
};

struct RankMemory {
  std::int64_t weights = 0;
  std::int64_t kv_cache = 0;
  std::int64_t activations = 0;
  std::int64_t total() const { return weights + kv_cache + activations; }
};

/// Tokens of one KV block; the same number as KvCacheView::block_tokens.
inline constexpr std::int64_t kv_block_tokens = 32;

/// Rows of logits computed at a time: bounds the memory that a large vocabulary takes.
inline constexpr std::int64_t logit_rows = 64;

/// Logits looked up at a time.
inline constexpr std::int64_t targets_at_once = 4096;

/// How weights lie in memory: panels of 32 rows, the columns of 16-bit weights padded to 32 within
/// each virtual shard (kernels/packed.h), or panels of 64 rows with all floats padded to 64 columns
/// (kernels/cuda/weights.h).
enum class WeightPacking : std::uint8_t { cpu, gpu };

/// Virtual shards of the columns of a matrix that this rank holds: how wide each is.
std::vector<std::int64_t> shard_widths(const ParameterSpec& parameter, const ModelSpec& model,
                                       const TensorShard& shard);

/// Bytes of the weights of `blocks`.
std::int64_t weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                          WeightPacking packing = WeightPacking::cpu);

/// Which of `blocks` is read from disk whenever it is needed, where those from `disk_begin` on are
/// to stay there: not one whose table is in memory anyway (a head that is tied to an embedding).
bool stays_on_disk(const ModelSpec& model, Range blocks, std::int64_t disk_begin,
                   std::int64_t block);
/// Bytes of their weights.
std::int64_t disk_weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                               std::int64_t disk_begin);

/// Memory for the weights of `blocks` of which those from `disk_begin` on stay on disk: two of them
/// at a time are in memory.
std::int64_t resident_weight_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                                   std::int64_t disk_begin,
                                   WeightPacking packing = WeightPacking::cpu);

/// Bytes that one KV block (K and V, all layers in `blocks`) takes on this rank.
std::int64_t kv_bytes_per_block(const ModelSpec& model, const TensorShard& shard, Range blocks);

/// Blocks of the cache that a step uses for whole sequences, one layer after the other.
std::int64_t step_cache_blocks(const MemoryLimits& limits);
/// Bytes that it takes on this rank: one layer's, however many there are.
std::int64_t step_cache_bytes(const ModelSpec& model, const TensorShard& shard, Range blocks,
                              const MemoryLimits& limits);

/// KV blocks that one sequence of max_model_len (and its source) takes.
std::int64_t kv_blocks_of_one_sequence(const MemoryLimits& limits);

/// KV blocks that hold max_sequences sequences of max_model_len.
std::int64_t kv_blocks_wanted(const MemoryLimits& limits);

/// Bytes of the rotary tables of a rank: cos and sin of each pair of dimensions and each position
/// up to max_model_len.
std::int64_t rotary_bytes(const ModelSpec& model, const MemoryLimits& limits);

/// Most floats of activations in use at once on this rank.
std::int64_t workspace_floats(const ModelSpec& model, const TensorShard& shard, Range blocks,
                              const MemoryLimits& limits);

}  // namespace trireme
