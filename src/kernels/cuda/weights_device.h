// Reading single weights of a packed matrix (weights.h) in a kernel.
#pragma once

#include "kernels/cuda/device_code.h"
#include "kernels/cuda/weights.h"

namespace trireme::cuda {

__device__ inline float bf16_bits_to_float(std::uint16_t bits) {
  return __uint_as_float(static_cast<std::uint32_t>(bits) << 16);
}

/// Of i8, i4 and u4. A load per byte: for look-ups, not for products.
__device__ inline float quantized_weight_at(const PackedLayout& layout,
                                            const std::byte* __restrict__ packed, std::int64_t row,
                                            std::int32_t k) {
  const std::int32_t shard = layout.shard_of(k);
  const std::int32_t within = k - layout.k_begin[shard];
  const std::int32_t group_of_shard = within / layout.group;
  const std::int32_t k_of_group = within % layout.group;
  const std::int64_t strip_row = row % strip_rows;
  const std::byte* strip = packed + row / strip_rows * layout.strip_bytes();
  const std::int64_t block = layout.padded_begin[shard] +
                             std::int64_t{group_of_shard} * layout.group_blocks +
                             k_of_group / block_k;
  const std::int64_t at = (layout.group_begin[shard] + group_of_shard) * strip_rows +
                          PackedLayout::scale_index(strip_row);
  const std::int64_t k_of_block = k_of_group % block_k;
  const auto byte = static_cast<std::int32_t>(static_cast<std::int8_t>(
      strip[block * layout.block_bytes() + layout.code_byte(strip_row, k_of_block)]));
  const float scale =
      f16_bits_to_float(reinterpret_cast<const std::uint16_t*>(strip + layout.scales_offset())[at]);

  if (layout.dtype == DType::i8) return scale * static_cast<float>(byte);
  // The low half's sign moves up to where the high half has its own.
  const std::int32_t code =
      PackedLayout::in_high_half(k_of_block) ? byte >> 4 : static_cast<std::int8_t>(byte << 4) >> 4;
  if (layout.dtype == DType::i4) return scale * static_cast<float>(code);
  const auto zero = static_cast<std::int32_t>(strip[layout.zeros_offset() + at]);
  return scale * static_cast<float>(code + 8 - zero);
}

/// The weight at [row, k], of any dtype.
__device__ inline float weight_at(const PackedLayout& layout, const std::byte* __restrict__ packed,
                                  std::int64_t row, std::int32_t k) {
  if (layout.quantized()) return quantized_weight_at(layout, packed, row, k);
  const std::int32_t shard = layout.shard_of(k);
  const std::int64_t at =
      row * layout.pitch() + layout.padded_begin[shard] + (k - layout.k_begin[shard]);
  if (layout.dtype == DType::f32) return reinterpret_cast<const float*>(packed)[at];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(packed)[at];
  return layout.dtype == DType::bf16 ? bf16_bits_to_float(bits) : f16_bits_to_float(bits);
}

}  // namespace trireme::cuda
