#include "kernels/host/host_backend.h"

#include <cstring>

#include "kernels/host/parts.h"
#include "kernels/packed.h"

namespace trireme {

namespace {

constexpr std::int64_t block_tokens = KvCacheView::block_tokens;

/// What kv_write does for one element type; Encode rounds a float32 to it.
template <typename T, T (*encode)(float)>
struct KvWriter {
  const KvWriteArgs& args;

  /// One token of one head: `k` and `v` are its head_dim values, the blocks are this head's.
  void write_token(const float* k, const float* v, std::int64_t slot, T* k_block,
                   T* v_block) const {
    const KvCacheView& cache = args.cache;
    for (std::int64_t d = 0; d < cache.head_dim; ++d)
      k_block[cache.k_index(slot, d)] = encode(k[d]);
    for (std::int64_t d = 0; d < cache.head_dim; ++d)
      v_block[cache.v_index(slot, d)] = encode(v[d]);
  }

  void write_sequence(const SequenceSpan& sequence, std::int64_t head) const {
    const std::int64_t head_elements = args.cache.head_stride() * block_tokens;
    for (std::int64_t row = 0; row < sequence.rows; ++row) {
      const std::int64_t position = sequence.position_begin + row;
      const std::int64_t slot = position % block_tokens;
      const std::int64_t offset =
          sequence.block_table[position / block_tokens] * args.cache.block_elements() +
          head * head_elements;
      T* k_block = reinterpret_cast<T*>(args.cache.k) + offset;
      T* v_block = reinterpret_cast<T*>(args.cache.v) + offset;
      if (slot == 0) {
        std::memset(k_block, 0, static_cast<std::size_t>(head_elements) * sizeof(T));
        std::memset(v_block, 0, static_cast<std::size_t>(head_elements) * sizeof(T));
      }
      const std::int64_t column = (sequence.row_begin + row) * args.ld + head * args.cache.head_dim;
      write_token(args.k + column, args.v + column, slot, k_block, v_block);
    }
  }

  void write(ThreadPool& threads) const {
    const std::int64_t heads = args.cache.kv_heads;
    const auto count = static_cast<std::int64_t>(args.sequences.size()) * heads;
    std::int64_t rows = 0;
    for (const SequenceSpan& sequence : args.sequences) rows += sequence.rows;
    const std::int64_t elements = 2 * rows * heads * args.cache.head_dim;
    for_parts(threads, count, elements, few_elements, [&](std::int64_t part) {
      write_sequence(args.sequences[static_cast<std::size_t>(part / heads)], part % heads);
    });
  }
};

float encode_f32(float value) { return value; }
std::uint16_t encode_bf16(float value) { return f32_to_bf16(value); }
std::uint16_t encode_f16(float value) { return f32_to_f16(value); }

}  // namespace

std::int64_t HostBackend::panel_rows() const { return packed::panel_rows; }

std::size_t HostBackend::panel_bytes(const MatrixShape& shape) const {
  return packed::panel_bytes(shape);
}

void HostBackend::pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                             std::byte* packed) const {
  packed::pack_panel(shape, panel, source, packed);
}

void HostBackend::embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                            const MatrixShape& shape, const std::byte* table, float* out) const {
  const std::int64_t k = shape.k();
  const auto rows = static_cast<std::int64_t>(ids.size());
  for_parts(threads, rows, rows * k, few_elements, [&](std::int64_t i) {
    float* row = out + i * k;
    const std::int64_t id = ids[static_cast<std::size_t>(i)];
    if (!vocab.contains(id)) {
      std::memset(row, 0, static_cast<std::size_t>(k) * sizeof(float));
      return;
    }
    packed::unpack_row(shape, id - vocab.begin, table, row);
    for (std::int64_t j = 0; j < k; ++j) row[j] += 0.0f;  // -0 + 0 is +0
  });
}

void HostBackend::kv_write(ThreadPool& threads, const KvWriteArgs& args) const {
  switch (args.cache.dtype) {
    case DType::f32:
      return KvWriter<float, encode_f32>{args}.write(threads);
    case DType::bf16:
      return KvWriter<std::uint16_t, encode_bf16>{args}.write(threads);
    default:
      return KvWriter<std::uint16_t, encode_f16>{args}.write(threads);
  }
}

}  // namespace trireme
