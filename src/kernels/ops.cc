#include "kernels/ops.h"

#include "core/error.h"
#include "kernels/quantize.h"

namespace trireme {

namespace {

bool is_weight_dtype(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16;
}

void check_group(const MatrixShape& shape) {
  TRIREME_ASSERT(quant::is_quantized(shape.dtype));
  TRIREME_ASSERT(shape.group > 0 && shape.group % 8 == 0 && shape.group <= quant::widest_group);
}

void check_cache(const KvCacheView& cache) {
  TRIREME_ASSERT(is_weight_dtype(cache.dtype));
  TRIREME_ASSERT(cache.kv_heads >= 0 && cache.head_dim > 0);
  TRIREME_ASSERT(cache.kv_heads == 0 || (cache.k != nullptr && cache.v != nullptr));
}

void check_sequences(std::span<const SequenceSpan> sequences) {
  for (const SequenceSpan& sequence : sequences) {
    TRIREME_ASSERT(sequence.rows >= 0 && sequence.row_begin >= 0 && sequence.position_begin >= 0);
    TRIREME_ASSERT(sequence.rows == 0 || sequence.block_table != nullptr);
    TRIREME_ASSERT(sequence.keys >= 0);
  }
}

}  // namespace

void check_matrix(const MatrixShape& shape) {
  TRIREME_ASSERT(shape.n >= 0);
  if (!is_weight_dtype(shape.dtype)) check_group(shape);
  for (const std::int64_t width : shape.k_shards) TRIREME_ASSERT(width >= 0);
}

void check_linear(const LinearArgs& args) {
  TRIREME_ASSERT(args.shape != nullptr && args.m >= 0);
  check_matrix(*args.shape);
  if (args.m == 0 || args.shape->n == 0) return;
  const std::int64_t k = args.shape->k();
  TRIREME_ASSERT(args.ldy >= args.shape->n && args.ldx >= k);
  TRIREME_ASSERT(k == 0 || (args.x != nullptr && args.w != nullptr));
  TRIREME_ASSERT(!args.outputs.empty());
  TRIREME_ASSERT(args.bias == nullptr || args.outputs.size() == 1);
  const auto shards = static_cast<std::int64_t>(args.shape->k_shards.size());
  for (const ShardSum& output : args.outputs) {
    TRIREME_ASSERT(output.y != nullptr && output.shards.begin >= 0);
    TRIREME_ASSERT(output.shards.size() >= 0 && output.shards.end <= shards);
  }
}

void check_embedding(std::span<const std::int32_t> ids, Range vocab, const MatrixShape& shape,
                     const std::byte* table, const float* out) {
  check_matrix(shape);
  TRIREME_ASSERT(vocab.size() == shape.n);
  TRIREME_ASSERT(ids.empty() || out != nullptr);
  TRIREME_ASSERT(vocab.empty() || table != nullptr);
}

void check_kv_write(const KvWriteArgs& args) {
  check_cache(args.cache);
  check_sequences(args.sequences);
  TRIREME_ASSERT(args.ld >= args.cache.kv_heads * args.cache.head_dim);
  TRIREME_ASSERT(args.sequences.empty() || args.cache.kv_heads == 0 ||
                 (args.k != nullptr && args.v != nullptr));
}

void check_attention(const AttentionArgs& args) {
  check_cache(args.cache);
  check_sequences(args.sequences);
  TRIREME_ASSERT(args.heads >= 0 && args.window >= 0);
  TRIREME_ASSERT(static_cast<std::int64_t>(args.kv_head_of.size()) == args.heads);
  TRIREME_ASSERT(args.ldq >= args.heads * args.cache.head_dim);
  TRIREME_ASSERT(args.ldo >= args.heads * args.cache.head_dim);
  TRIREME_ASSERT(args.sequences.empty() || args.heads == 0 ||
                 (args.q != nullptr && args.out != nullptr));
  TRIREME_ASSERT(args.distances.reach >= 0);
  for (const std::int32_t head : args.kv_head_of) {
    TRIREME_ASSERT(head >= 0 && head < args.cache.kv_heads);
  }
}

void check_rope(const RopeArgs& args) {
  TRIREME_ASSERT(args.heads >= 0 && args.head_dim >= 0 && args.ld >= args.heads * args.head_dim);
  TRIREME_ASSERT(args.rotary_dim >= 0 && args.rotary_dim % 2 == 0);
  TRIREME_ASSERT(args.rotary_dim <= args.head_dim);
  for (const std::int32_t position : args.positions) TRIREME_ASSERT(position >= 0);
}

void check_norm(const NormArgs& args) {
  TRIREME_ASSERT(args.rows >= 0 && args.groups >= 0 && args.dim > 0);
  TRIREME_ASSERT(args.ldx >= args.groups * args.dim && args.ldy >= args.groups * args.dim);
  TRIREME_ASSERT(args.rows == 0 || (args.x != nullptr && args.y != nullptr));
  TRIREME_ASSERT(args.weight != nullptr);
}

}  // namespace trireme
