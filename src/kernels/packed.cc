#include "kernels/packed.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "kernels/quantize.h"

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

constexpr std::size_t scale_bytes = panel_rows * 2;

/// Where the integer at k of row `lane` is among the bytes of a group's integers.
std::size_t byte_index(DType dtype, std::int64_t lane, std::int64_t k) {
  const std::int64_t quad = dtype == DType::i8 ? k / 4 : k / 8;
  return static_cast<std::size_t>((quad * panel_rows + lane) * 4 + k % 4);
}

bool in_high_half(DType dtype, std::int64_t k) { return dtype == DType::i4 && k % 8 >= 4; }

/// Puts an integer, its zero added, in its place.
void put(DType dtype, std::byte* integers, std::int64_t lane, std::int64_t k, std::uint8_t value) {
  std::byte& target = integers[byte_index(dtype, lane, k)];
  if (dtype == DType::i8) {
    target = std::byte{value};
  } else if (in_high_half(dtype, k)) {
    target = (target & std::byte{0x0f}) | std::byte{value} << 4;
  } else {
    target = (target & std::byte{0xf0}) | std::byte{value};
  }
}

/// One group of `width` k of `rows` rows, `ld` floats apart.
void pack_group(const MatrixShape& shape, const float* source, std::int64_t ld, std::int64_t rows,
                std::int64_t width, std::byte* target) {
  const bool bytes = shape.dtype == DType::i8;
  const std::byte zeros = bytes ? std::byte{0x80} : std::byte{0x88};
  std::byte* integers = target + scale_bytes;
  std::memset(target, 0, scale_bytes);
  std::memset(integers, std::to_integer<int>(zeros),
              packed_group_bytes(shape.dtype, width) - scale_bytes);
  std::uint8_t q[quant::widest_group];
  for (std::int64_t lane = 0; lane < rows; ++lane) {
    const std::uint16_t scale = quant::quantize_weights(source + lane * ld, width, shape.dtype, q);
    std::memcpy(target + lane * 2, &scale, sizeof(scale));
    for (std::int64_t k = 0; k < width; ++k) put(shape.dtype, integers, lane, k, q[k]);
  }
}

void pack_quantized_panel(const MatrixShape& shape, const std::byte* source, std::int64_t rows,
                          std::byte* target) {
  TRIREME_ASSERT(shape.group > 0 && shape.group % 8 == 0 && shape.group <= quant::widest_group);
  const std::int64_t ld = shape.k();
  std::vector<float> values(static_cast<std::size_t>(rows * ld));
  std::memcpy(values.data(), source, values.size() * sizeof(float));
  const float* from = values.data();
  for (const std::int64_t width : shape.k_shards) {
    for (std::int64_t k = 0; k < width; k += shape.group) {
      const std::int64_t count = std::min(shape.group, width - k);
      pack_group(shape, from + k, ld, rows, count, target);
      target += packed_group_bytes(shape.dtype, count);
    }
    from += width;
  }
}

float element(DType dtype, const std::byte* shard, std::int64_t index) {
  if (dtype == DType::f32) return reinterpret_cast<const float*>(shard)[index];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(shard)[index];
  return dtype == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

}  // namespace

std::size_t panel_bytes(const MatrixShape& shape) {
  std::size_t bytes = 0;
  for (const std::int64_t width : shape.k_shards)
    bytes += packed_shard_bytes(shape.format(), width);
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
  if (quant::is_quantized(shape.dtype)) return pack_quantized_panel(shape, source, rows, target);
  const std::size_t element_bytes = size_of(shape.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * element_bytes;
  for (const std::int64_t width : shape.k_shards) {
    const std::size_t bytes = packed_shard_bytes(shape.format(), width);
    std::memset(target, 0, bytes);
    pack_shard(shape.dtype, source, row_bytes, static_cast<std::size_t>(rows),
               static_cast<std::size_t>(width), target);
    source += static_cast<std::size_t>(width) * element_bytes;
    target += bytes;
  }
}

float GroupView::scale() const {
  std::uint16_t bits = 0;
  std::memcpy(&bits, group + lane * 2, sizeof(bits));
  return f16_to_f32(bits);
}

int GroupView::at(std::int64_t k) const {
  const int byte = std::to_integer<int>(group[scale_bytes + byte_index(dtype, lane, k)]);
  const int value = dtype == DType::i8 ? byte : in_high_half(dtype, k) ? byte >> 4 : byte & 15;
  return value - quant::zero_of(dtype);
}

namespace {

/// One shard of one row of i8 or i4, as float32.
void unpack_groups(const MatrixShape& shape, const std::byte* shard, std::int64_t lane,
                   std::int64_t width, float* out) {
  for (std::int64_t k = 0; k < width; k += shape.group) {
    const std::int64_t count = std::min(shape.group, width - k);
    const GroupView group{shard, shape.dtype, lane};
    const float scale = group.scale();
    for (std::int64_t i = 0; i < count; ++i) *out++ = scale * static_cast<float>(group.at(i));
    shard += packed_group_bytes(shape.dtype, count);
  }
}

}  // namespace

void unpack_row(const MatrixShape& shape, std::int64_t row, const std::byte* matrix, float* out) {
  const std::byte* shard = matrix + static_cast<std::size_t>(row / panel_rows) * panel_bytes(shape);
  for (const std::int64_t width : shape.k_shards) {
    if (quant::is_quantized(shape.dtype)) {
      unpack_groups(shape, shard, row % panel_rows, width, out);
    } else {
      for (std::int64_t k = 0; k < width; ++k) {
        out[k] = element(shape.dtype, shard, element_index(shape.dtype, row % panel_rows, k));
      }
    }
    out += width;
    shard += packed_shard_bytes(shape.format(), width);
  }
}

}  // namespace trireme::packed
