#include "kernels/packed.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace trireme::packed {

namespace {

/// Copies `count` units of T from each of `rows` rows, `row_bytes` apart and of any alignment, to
/// [count][32].
template <typename T>
void interleave(const std::byte* source, std::size_t row_bytes, std::size_t rows, std::size_t count,
                std::byte* target) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t lane = 0; lane < rows; ++lane) {
      std::memcpy(target + (i * panel_rows + lane) * sizeof(T),
                  source + lane * row_bytes + i * sizeof(T), sizeof(T));
    }
  }
}

/// One shard of `width` k. Pairs of bfloat16 move as one unit; an odd last one leaves its partner
/// zero.
void pack_shard(DType dtype, const std::byte* source, std::size_t row_bytes, std::size_t rows,
                std::size_t width, std::byte* target) {
  switch (dtype) {
    case DType::f32:
      return interleave<std::uint32_t>(source, row_bytes, rows, width, target);
    case DType::f16:
      return interleave<std::uint16_t>(source, row_bytes, rows, width, target);
    default:
      break;
  }
  const std::size_t pairs = width / 2;
  interleave<std::uint32_t>(source, row_bytes, rows, pairs, target);
  if (width % 2 == 0) return;
  for (std::size_t lane = 0; lane < rows; ++lane) {
    std::memcpy(target + (pairs * panel_rows + lane) * 4, source + lane * row_bytes + pairs * 4, 2);
  }
}

float element(DType dtype, const std::byte* shard, std::int64_t index) {
  if (dtype == DType::f32) return reinterpret_cast<const float*>(shard)[index];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(shard)[index];
  return dtype == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

}  // namespace

std::size_t shard_bytes(DType dtype, std::int64_t width) {
  TRIREME_ASSERT(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16);
  const std::int64_t depth = dtype == DType::bf16 ? round_up(width, bf16_k_step) : width;
  return static_cast<std::size_t>(depth * panel_rows) * size_of(dtype);
}

std::size_t panel_bytes(const MatrixShape& shape) {
  std::size_t bytes = 0;
  for (const std::int64_t width : shape.k_shards) bytes += shard_bytes(shape.dtype, width);
  return bytes;
}

std::int64_t panel_count(const MatrixShape& shape) { return ceil_div(shape.n, panel_rows); }

std::size_t matrix_bytes(const MatrixShape& shape) {
  return static_cast<std::size_t>(panel_count(shape)) * panel_bytes(shape);
}

void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                std::byte* matrix) {
  const std::int64_t rows = std::min(panel_rows, shape.n - panel * panel_rows);
  TRIREME_ASSERT(panel >= 0 && rows > 0);
  std::byte* target = matrix + static_cast<std::size_t>(panel) * panel_bytes(shape);
  const std::size_t element_bytes = size_of(shape.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * element_bytes;
  for (const std::int64_t width : shape.k_shards) {
    const std::size_t bytes = shard_bytes(shape.dtype, width);
    std::memset(target, 0, bytes);
    pack_shard(shape.dtype, source, row_bytes, static_cast<std::size_t>(rows),
               static_cast<std::size_t>(width), target);
    source += static_cast<std::size_t>(width) * element_bytes;
    target += bytes;
  }
}

void unpack_row(const MatrixShape& shape, std::int64_t row, const std::byte* matrix, float* out) {
  const std::byte* shard = matrix + static_cast<std::size_t>(row / panel_rows) * panel_bytes(shape);
  for (const std::int64_t width : shape.k_shards) {
    for (std::int64_t k = 0; k < width; ++k) {
      *out++ = element(shape.dtype, shard, element_index(shape.dtype, row % panel_rows, k));
    }
    shard += shard_bytes(shape.dtype, width);
  }
}

}  // namespace trireme::packed
