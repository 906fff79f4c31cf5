#include "kernels/packed.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "core/coded_weight.h"
#include "core/error.h"
#include "kernels/interleave.h"
#include "kernels/quantize.h"

namespace trireme::packed {

namespace {

/// One shard of `width` k. Pairs of bfloat16 move as one unit; an odd last one leaves its partner
/// zero, and so are lanes and k that no weight fills.
void pack_shard(DType dtype, const std::byte* source, std::size_t row_bytes, std::size_t rows,
                std::size_t width, std::span<std::byte> target) {
  const std::size_t unit = dtype == DType::f16 ? 2 : 4;
  const std::size_t units = dtype == DType::bf16 ? width / 2 : width;
  const std::size_t filled = units * panel_rows * unit;
  if (rows < panel_rows) {
    std::memset(target.data(), 0, target.size());
  } else {
    std::memset(target.data() + filled, 0, target.size() - filled);
  }
  if (dtype == DType::f16) return interleave_halves(source, row_bytes, rows, units, target.data());
  interleave_words(source, row_bytes, rows, units, target.data());
  if (dtype != DType::bf16 || width % 2 == 0) return;
  for (std::size_t lane = 0; lane < rows; ++lane) {
    std::memcpy(target.data() + filled + lane * unit, source + lane * row_bytes + units * unit, 2);
  }
}

/// Where the integer at k of row `lane` is among the bytes of a group's integers.
std::size_t byte_index(DType dtype, std::int64_t lane, std::int64_t k) {
  const std::int64_t quad = dtype == DType::i8 ? k / 4 : k / 8;
  return static_cast<std::size_t>((quad * panel_rows + lane) * 4 + k % 4);
}

bool in_high_half(DType dtype, std::int64_t k) { return dtype != DType::i8 && k % 8 >= 4; }

/// Integers of a row, their zeros added, as they are stored: `count` is a multiple of 8.
void store_row(DType dtype, const std::uint8_t* q, std::size_t count, std::byte* row) {
  if (dtype == DType::i8) {
    std::memcpy(row, q, count);
    return;
  }
  for (std::size_t k = 0; k < count; k += 8, row += 4) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, q + k, sizeof(low));
    std::memcpy(&high, q + k + 4, sizeof(high));
    low |= high << 4;  // four bytes at once: none is above 15
    std::memcpy(row, &low, sizeof(low));
  }
}

/// One group of a row of i8 or i4: what is stored of float32. Writes the row's part of the header.
void take_group(DType dtype, const std::byte* source, std::int64_t width, std::byte* header,
                std::uint8_t* q) {
  float weights[quant::widest_group];
  std::memcpy(weights, source, static_cast<std::size_t>(width) * sizeof(float));
  const std::uint16_t scale = quant::quantize_weights(weights, width, dtype, q);
  std::memcpy(header, &scale, sizeof(scale));
}

/// The same of u4, whose integers are there.
void take_codes(const std::byte* source, std::int64_t width, std::byte* header, std::uint8_t* q) {
  CodedWeight first;
  std::memcpy(&first, source, sizeof(first));
  const std::uint16_t zero = f32_to_f16(first.zero);
  std::memcpy(header, &first.scale, sizeof(first.scale));
  std::memcpy(header + panel_rows * 2, &zero, sizeof(zero));
  for (std::int64_t k = 0; k < width; ++k) {
    CodedWeight weight;
    std::memcpy(&weight, source + static_cast<std::size_t>(k) * sizeof(weight), sizeof(weight));
    TRIREME_ASSERT(weight.scale == first.scale && weight.zero == first.zero && weight.code < 16);
    q[k] = weight.code;
  }
}

/// One group of `width` k of `rows` rows of source elements, `row_bytes` apart.
void pack_group(DType dtype, const std::byte* source, std::size_t row_bytes, std::int64_t rows,
                std::int64_t width, std::byte* target) {
  const std::size_t header_bytes = packed_group_header(dtype);
  const std::size_t row_stored = (packed_group_bytes(dtype, width) - header_bytes) / panel_rows;
  const std::size_t padded = dtype == DType::i8 ? row_stored : row_stored * 2;
  std::byte integers[panel_rows * quant::widest_group];
  std::uint8_t q[quant::widest_group];
  std::memset(q, dtype == DType::u4 ? 0 : quant::zero_of(dtype), padded);
  for (std::int64_t lane = rows; lane < panel_rows; ++lane) {
    store_row(dtype, q, padded, integers + static_cast<std::size_t>(lane) * row_stored);
  }
  std::memset(target, 0, header_bytes);
  for (std::int64_t lane = 0; lane < rows; ++lane, source += row_bytes) {
    if (dtype == DType::u4) {
      take_codes(source, width, target + lane * 2, q);
    } else {
      take_group(dtype, source, width, target + lane * 2, q);
    }
    store_row(dtype, q, padded, integers + static_cast<std::size_t>(lane) * row_stored);
  }
  interleave_words(integers, row_stored, panel_rows, row_stored / 4, target + header_bytes);
}

void pack_quantized_panel(const MatrixShape& shape, const std::byte* source, std::int64_t rows,
                          std::byte* target) {
  TRIREME_ASSERT(shape.group > 0 && shape.group % 8 == 0 && shape.group <= quant::widest_group);
  static_assert(sizeof(CodedWeight) == sizeof(float));
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * sizeof(float);
  for (const std::int64_t width : shape.k_shards) {
    for (std::int64_t k = 0; k < width; k += shape.group) {
      const std::int64_t count = std::min(shape.group, width - k);
      pack_group(shape.dtype, source + static_cast<std::size_t>(k) * sizeof(float), row_bytes, rows,
                 count, target);
      target += packed_group_bytes(shape.dtype, count);
    }
    source += static_cast<std::size_t>(width) * sizeof(float);
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
                std::byte* target) {
  const std::int64_t rows = std::min(panel_rows, shape.n - panel * panel_rows);
  TRIREME_ASSERT(panel >= 0 && rows > 0);
  if (quant::is_quantized(shape.dtype)) return pack_quantized_panel(shape, source, rows, target);
  const std::size_t element_bytes = size_of(shape.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * element_bytes;
  for (const std::int64_t width : shape.k_shards) {
    const std::size_t bytes = packed_shard_bytes(shape.format(), width);
    pack_shard(shape.dtype, source, row_bytes, static_cast<std::size_t>(rows),
               static_cast<std::size_t>(width), {target, bytes});
    source += static_cast<std::size_t>(width) * element_bytes;
    target += bytes;
  }
}

float GroupView::scale() const {
  std::uint16_t bits = 0;
  std::memcpy(&bits, group + lane * 2, sizeof(bits));
  return f16_to_f32(bits);
}

int GroupView::zero() const {
  if (dtype != DType::u4) return quant::zero_of(dtype);
  std::uint16_t bits = 0;
  std::memcpy(&bits, group + (panel_rows + lane) * 2, sizeof(bits));
  return static_cast<int>(f16_to_f32(bits));
}

int GroupView::code(std::int64_t k) const {
  const std::size_t at = packed_group_header(dtype) + byte_index(dtype, lane, k);
  const int byte = std::to_integer<int>(group[at]);
  return dtype == DType::i8 ? byte : in_high_half(dtype, k) ? byte >> 4 : byte & 15;
}

namespace {

/// One shard of one row of i8, i4 or u4, as float32.
void unpack_groups(const MatrixShape& shape, const std::byte* shard, std::int64_t lane,
                   std::int64_t width, float* out) {
  for (std::int64_t k = 0; k < width; k += shape.group) {
    const std::int64_t count = std::min(shape.group, width - k);
    const GroupView group{shard, shape.dtype, lane};
    const float scale = group.scale();
    const int zero = group.zero();
    for (std::int64_t i = 0; i < count; ++i) {
      *out++ = scale * static_cast<float>(group.code(i) - zero);
    }
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
