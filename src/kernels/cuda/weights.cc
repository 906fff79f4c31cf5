#include "kernels/cuda/weights.h"

#include <algorithm>
#include <cstring>

#include "core/coded_weight.h"
#include "core/error.h"
#include "kernels/quantize.h"

namespace trireme::cuda {

namespace {

/// Integers of one group of a row, as quantize_weights stores them, with what they share.
struct GroupCodes {
  std::uint16_t scale = 0;
  std::uint8_t zero = 0;  ///< u4
  std::uint8_t codes[quant::widest_group];
};

/// Codes come with a zero of 128 (i8) or 8 (i4); those of u4, as they are, may be taken as if with
/// one of 8: turning over the highest bit makes all of them two's complement.
constexpr std::uint8_t code_of_zero(DType dtype) { return dtype == DType::i8 ? 128 : 8; }
constexpr std::uint32_t highest_bits(DType dtype) {
  return dtype == DType::i8 ? 0x80808080u : 0x88888888u;
}

/// The codes of `width` k, and those of zero behind them, up to a whole block.
void read_group(DType dtype, const std::byte* source, std::int64_t width, GroupCodes& group) {
  std::fill(group.codes + width, group.codes + round_up(width, block_k), code_of_zero(dtype));
  if (dtype != DType::u4) {
    float weights[quant::widest_group];
    std::memcpy(weights, source, static_cast<std::size_t>(width) * sizeof(float));
    group.scale = quant::quantize_weights(weights, width, dtype, group.codes);
    return;
  }
  CodedWeight weights[quant::widest_group];
  std::memcpy(weights, source, static_cast<std::size_t>(width) * sizeof(CodedWeight));
  group.scale = weights[0].scale;
  group.zero = weights[0].zero;
  for (std::int64_t k = 0; k < width; ++k) {
    TRIREME_ASSERT(weights[k].scale == group.scale && weights[k].zero == group.zero &&
                   weights[k].code < 16);
    group.codes[k] = weights[k].code;
  }
}

/// Stores eight codes, four bytes or twice four.
void store_codes(const PackedLayout& layout, const std::uint8_t* codes, std::int64_t row,
                 std::int64_t k, std::byte* block) {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  std::memcpy(&low, codes, sizeof(low));
  std::memcpy(&high, codes + 4, sizeof(high));
  const std::uint32_t turned = highest_bits(layout.dtype);
  if (layout.dtype == DType::i8) {
    low ^= turned;
    high ^= turned;
    std::memcpy(block + layout.code_byte(row, k + 4), &high, sizeof(high));
  } else {
    low = (low | high << 4) ^ turned;
  }
  std::memcpy(block + layout.code_byte(row, k), &low, sizeof(low));
}

/// Writes a group where row `row` of the strip has it.
void store_group(const PackedLayout& layout, const GroupCodes& group, std::int64_t row,
                 std::int64_t width, std::int64_t block_begin, std::int64_t group_index,
                 std::byte* strip) {
  for (std::int64_t k = 0; k < round_up(width, block_k); k += 8) {
    store_codes(layout, group.codes + k, row, k % block_k,
                strip + (block_begin + k / block_k) * layout.block_bytes());
  }
  const std::int64_t at = group_index * strip_rows + PackedLayout::scale_index(row);
  std::memcpy(strip + layout.scales_offset() + at * 2, &group.scale, sizeof(group.scale));
  if (layout.dtype == DType::u4) {
    strip[layout.zeros_offset() + at] = static_cast<std::byte>(group.zero);
  }
}

void pack_quantized_row(const PackedLayout& layout, const std::byte* source, std::int64_t row,
                        std::byte* strip) {
  GroupCodes group;
  for (std::int32_t shard = 0; shard < layout.shards; ++shard) {
    std::int64_t block = layout.padded_begin[shard];
    std::int64_t index = layout.group_begin[shard];
    for (std::int64_t k = 0; k < layout.width(shard); k += layout.group) {
      const std::int64_t width = std::min<std::int64_t>(layout.group, layout.width(shard) - k);
      const std::byte* from =
          source + static_cast<std::size_t>(layout.k_begin[shard] + k) * sizeof(float);
      read_group(layout.dtype, from, width, group);
      store_group(layout, group, row, width, block, index++, strip);
      block += layout.group_blocks;
    }
  }
}

void pack_float_row(const PackedLayout& layout, const std::byte* source, std::byte* row) {
  const std::size_t element = size_of(layout.dtype);
  for (std::int32_t shard = 0; shard < layout.shards; ++shard) {
    std::memcpy(row + static_cast<std::size_t>(layout.padded_begin[shard]) * element,
                source + static_cast<std::size_t>(layout.k_begin[shard]) * element,
                static_cast<std::size_t>(layout.width(shard)) * element);
  }
}

std::size_t panel_bytes_of(const PackedLayout& layout) {
  if (layout.quantized()) {
    return static_cast<std::size_t>(panel_rows / strip_rows * layout.strip_bytes());
  }
  return static_cast<std::size_t>(panel_rows * layout.pitch()) * size_of(layout.dtype);
}

float weight_of_group(const PackedLayout& layout, std::int64_t row, std::int64_t k,
                      std::int64_t block_begin, std::int64_t group_index, const std::byte* strip) {
  const std::int64_t at = group_index * strip_rows + PackedLayout::scale_index(row);
  std::uint16_t bits = 0;
  std::memcpy(&bits, strip + layout.scales_offset() + at * 2, sizeof(bits));
  const std::int64_t block = block_begin + k / block_k;
  const int byte = std::to_integer<int>(
      strip[block * layout.block_bytes() + layout.code_byte(row, k % block_k)]);
  if (layout.dtype == DType::i8) return f16_to_f32(bits) * static_cast<float>((byte ^ 0x80) - 128);
  const int half = PackedLayout::in_high_half(k % block_k) ? byte >> 4 : byte & 15;
  const int zero = layout.dtype == DType::u4
                       ? std::to_integer<int>(strip[layout.zeros_offset() + at])
                       : quant::zero_of(layout.dtype);
  return f16_to_f32(bits) * static_cast<float>((half ^ 8) - zero);
}

void unpack_quantized_row(const PackedLayout& layout, std::int64_t row, const std::byte* strip,
                          float* out) {
  for (std::int32_t shard = 0; shard < layout.shards; ++shard) {
    for (std::int64_t k = 0; k < layout.width(shard); ++k) {
      const std::int64_t group = k / layout.group;
      *out++ = weight_of_group(layout, row, k % layout.group,
                               layout.padded_begin[shard] + group * layout.group_blocks,
                               layout.group_begin[shard] + group, strip);
    }
  }
}

}  // namespace

PackedLayout::PackedLayout(const MatrixShape& shape)
    : n(shape.n),
      dtype(shape.dtype),
      shards(static_cast<std::int32_t>(shape.k_shards.size())),
      group(static_cast<std::int32_t>(quant::is_quantized(shape.dtype) ? shape.group : 0)),
      group_blocks(static_cast<std::int32_t>(ceil_div(group, block_k))) {
  TRIREME_ASSERT(shape.k_shards.size() <= most_shards);
  TRIREME_ASSERT(quant::is_quantized(shape.dtype) == (group > 0));
  TRIREME_ASSERT(group % 8 == 0 && group <= quant::widest_group);
  for (std::int32_t shard = 0; shard < shards; ++shard) {
    const std::int64_t wide = shape.k_shards[static_cast<std::size_t>(shard)];
    std::int64_t padded = round_up(wide, float_k_step);
    std::int64_t groups = 0;
    if (group > 0) {
      groups = ceil_div(wide, group);
      padded = wide / group * group_blocks + ceil_div(wide % group, block_k);
    }
    k_begin[shard + 1] = k_begin[shard] + static_cast<std::int32_t>(wide);
    padded_begin[shard + 1] = padded_begin[shard] + static_cast<std::int32_t>(padded);
    group_begin[shard + 1] = group_begin[shard] + static_cast<std::int32_t>(groups);
  }
}

std::size_t panel_bytes(const MatrixShape& shape) { return panel_bytes_of(PackedLayout(shape)); }

std::size_t packed_bytes(const MatrixShape& shape) {
  return static_cast<std::size_t>(ceil_div(shape.n, panel_rows)) * panel_bytes(shape);
}

void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                std::byte* panel_out) {
  const PackedLayout layout(shape);
  const std::int64_t rows = std::min(panel_rows, shape.n - panel * panel_rows);
  TRIREME_ASSERT(panel >= 0 && rows > 0);
  std::memset(panel_out, 0, panel_bytes_of(layout));
  const std::size_t element = layout.quantized() ? sizeof(float) : size_of(layout.dtype);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::byte* from = source + static_cast<std::size_t>(row * layout.k()) * element;
    if (layout.quantized()) {
      std::byte* strip = panel_out + row / strip_rows * layout.strip_bytes();
      pack_quantized_row(layout, from, row % strip_rows, strip);
    } else {
      pack_float_row(layout, from,
                     panel_out + static_cast<std::size_t>(row * layout.pitch()) * element);
    }
  }
}

void unpack_row(const MatrixShape& shape, std::int64_t row, const std::byte* packed, float* out) {
  const PackedLayout layout(shape);
  if (layout.quantized()) {
    const std::byte* strip = packed + row / strip_rows * layout.strip_bytes();
    return unpack_quantized_row(layout, row % strip_rows, strip, out);
  }
  const std::size_t element = size_of(layout.dtype);
  for (std::int32_t shard = 0; shard < layout.shards; ++shard) {
    const std::int64_t at = row * layout.pitch() + layout.padded_begin[shard];
    const auto count = static_cast<std::size_t>(layout.width(shard));
    convert_to_f32(packed + static_cast<std::size_t>(at) * element, layout.dtype, out, count);
    out += count;
  }
}

}  // namespace trireme::cuda
