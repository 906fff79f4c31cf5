#include "kernels/packed.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace trireme::packed {

namespace {

/// Copies one shard: `source` is its first k of row 0, of any alignment; rows are `ld` elements
/// apart.
template <typename T>
void pack_shard(DType dtype, const std::byte* source, std::int64_t ld, std::int64_t rows,
                std::int64_t width, T* target) {
  constexpr auto element_bytes = static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t k = 0; k < width; ++k) {
    for (std::int64_t lane = 0; lane < rows; ++lane) {
      std::memcpy(target + element_index(dtype, lane, k), source + (lane * ld + k) * element_bytes,
                  sizeof(T));
    }
  }
}

template <typename T>
void pack_shards(const MatrixShape& shape, std::int64_t rows, const std::byte* source,
                 std::byte* panel) {
  for (const std::int64_t width : shape.k_shards) {
    const std::size_t bytes = shard_bytes(shape.dtype, width);
    std::memset(panel, 0, bytes);
    pack_shard(shape.dtype, source, shape.k(), rows, width, reinterpret_cast<T*>(panel));
    source += width * static_cast<std::int64_t>(sizeof(T));
    panel += bytes;
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
  if (shape.dtype == DType::f32) {
    pack_shards<float>(shape, rows, source, target);
  } else {
    pack_shards<std::uint16_t>(shape, rows, source, target);
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
