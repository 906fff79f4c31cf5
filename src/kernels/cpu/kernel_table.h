// What one instruction set brings: a table of plain functions over plain structs.
//
// The files compiled for an instruction set may not emit a single function that others could share
// (an inline function or template of a header, compiled with AVX-512, could be the copy that the
// linker keeps for everybody, also for machines without it). So they see only this header,
// intrinsics and their own unnamed namespace; threads, memory and checks stay in cpu_backend.cc,
// compiled for all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace trireme::cpu {

/// Sum of the shards [begin, end) into y.
struct LinearOutput {
  std::int64_t begin;
  std::int64_t end;
  float* y;  ///< [m, ldy]
};

/// One call of `linear`, shared by its tasks.
struct LinearJob {
  /// Tiles of `tile_rows` rows (the last may have fewer), each [x_units][rows of the tile]; see
  /// KernelTable::pack_rows.
  const float* x;
  std::int64_t m;
  std::int64_t x_units;
  std::int64_t tile_rows;
  const std::byte* w;  ///< packed panels (kernels/packed.h)
  std::size_t panel_bytes;
  std::int64_t n;
  DType dtype;
  std::int64_t group;  ///< of i8, i4 and u4
  const std::int64_t* shard_widths;
  std::int64_t shard_count;
  const LinearOutput* outputs;
  std::int64_t output_count;
  const float* bias;  ///< [n] or null
  std::int64_t ldy;
};

/// Inputs to bring into the order in which products take them.
struct PackRowsJob {
  const float* x;  ///< [rows, ldx]
  std::int64_t ldx;
  std::int64_t rows;
  DType dtype;  ///< of the weights: x is rounded to bfloat16 for those, to eight bits for integers
  std::int64_t group;
  const std::int64_t* shard_widths;
  std::int64_t shard_count;
};

/// The part of a job that one task computes: a few panels for a few row tiles.
struct LinearTask {
  std::int64_t panel_begin;
  std::int64_t panel_end;
  std::int64_t tile_begin;
  std::int64_t tile_end;
};

/// One call of `attention`.
struct AttentionJob {
  const float* q;
  std::int64_t ldq;
  float* out;
  std::int64_t ldo;
  const std::byte* k;
  const std::byte* v;
  std::int64_t block_elements;  ///< of K (or V) of all heads of one block
  std::int64_t head_dim;
  std::int64_t head_stride;
  DType dtype;
  float scale;
  std::int64_t window;     ///< 0: all
  const float* distances;  ///< ScoreDistances::table
  std::int64_t reach;      ///< of the distances
};

/// The queries of `tokens` consecutive tokens and of the query heads that share one K/V head.
struct AttentionTask {
  const std::int32_t* block_table;
  std::int64_t row;  ///< of the first token
  std::int64_t tokens;
  std::int64_t position;  ///< of the first token
  std::int64_t kv_head;
  const std::int32_t* heads;
  std::int64_t head_count;
  std::int64_t keys;  ///< that all tokens see; 0: each those up to its own position
};

/// y = (x - center) * scale * weight (+ bias) over one group of `dim`.
struct NormTask {
  const float* x;
  float* y;
  std::int64_t dim;
  const float* weight;
  const float* bias;  ///< or null
  float eps;
  bool subtract_mean;
};

struct KernelTable {
  const char* name;

  /// Most rows of x that one register tile takes.
  std::int64_t tile_rows;
  /// Units of four bytes that a row of x takes for a virtual shard of `width` k.
  std::int64_t (*input_units)(DType dtype, std::int64_t group, std::int64_t width);
  /// Copies rows of x to [units][rows].
  void (*pack_rows)(const PackRowsJob& job, float* packed);
  /// Floats of scratch that a task of `panels` panels and `rows` rows needs, with up to `shards`
  /// shards in one output.
  std::int64_t (*linear_scratch)(std::int64_t panels, std::int64_t rows, std::int64_t shards);
  void (*linear)(const LinearJob& job, const LinearTask& task, float* scratch);

  /// Floats of scratch for `queries` (tokens * heads) queries.
  std::int64_t (*attention_scratch)(const AttentionJob& job, std::int64_t queries);
  void (*attention)(const AttentionJob& job, const AttentionTask& task, float* scratch);
  /// Rotates one head: cos and sin are [half].
  void (*rope)(float* x, const float* cos, const float* sin, std::int64_t half);

  void (*norm)(const NormTask& task);
  /// `kind` is an Activation.
  void (*activate)(int kind, float* x, std::int64_t count);
  void (*gated_activation)(int kind, const float* gate, const float* up, std::int64_t count,
                           float* out);
  void (*add)(float* x, const float* y, std::int64_t count);
  void (*argmax)(const float* x, std::int64_t count, float* value, std::int32_t* index);
  void (*exp_sum)(const float* x, std::int64_t count, float* max, float* sum);
};

const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& avx512vnni_kernels();
const KernelTable& avx512bf16_kernels();

}  // namespace trireme::cpu
