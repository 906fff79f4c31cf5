// How weights lie in a GPU's memory. This is host C++; kernels read the same layout with
// weights_device.h.
//
// A matrix W [n, k] of y = x W^T is cut into panels of 64 rows; the last one is filled up with zero
// rows. Virtual shards of K lie one after another.
//
//   f32, f16, bf16   rows one after another, k contiguous. Each shard is padded with zeros to a
//                    multiple of 64 k, so a row's pitch is the sum of the padded widths.
//
//   i8, i4, u4       a panel is two strips of 32 rows. Each group of each shard
//   (kernels/quantize.h)
//                    is padded with zeros to whole blocks of 32 k. A strip holds
//                      codes   [blocks][512 bytes], of i8 [blocks][1024 bytes]
//                      scales  [groups][32] float16
//                      zeros   [groups][32] bytes, u4 only
//                    and is padded to a multiple of 128 bytes.
//
// A block of codes is what tensor cores multiply (mma_s8, device_code.h), register by register, so
// that each lane of a warp loads 16 bytes beside its neighbour's. With g = lane / 4 and q = lane %
// 4 a lane has k 8 q ... 8 q + 7 of rows g, g + 8, g + 16 and g + 24: as four words, one per row,
// of the eight codes of i4 and u4, those of the first four k in the low halves of the bytes; or as
// twice four words of i8, first for rows g and g + 8, then for g + 16 and g + 24:
//   (row g, first four k), (row g + 8, first four k), (row g, last four k), (row g + 8, last four
//   k).
// Integers are two's complement: i8 and i4 hold the q of w = s q, u4 holds q - 8. Scales and zeros
// of a strip's rows come in the order g * 4 + row / 8 (g = row % 8), a lane's four side by side.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"

#ifdef __CUDACC__
#define TRIREME_HOST_DEVICE __host__ __device__
#else
#define TRIREME_HOST_DEVICE
#endif

namespace trireme::cuda {

inline constexpr std::int64_t panel_rows = 64;
/// Shards of f32, f16 and bf16 are padded to a multiple of this many k.
inline constexpr std::int64_t float_k_step = 64;
/// Of i8, i4 and u4: rows of a strip, and k of a block of codes.
inline constexpr std::int64_t strip_rows = 32;
inline constexpr std::int64_t block_k = 32;

/// Where things lie in a packed matrix: a MatrixShape as kernels take it, by value.
struct PackedLayout {
  static constexpr std::int32_t most_shards = 64;

  PackedLayout() = default;
  /// Asserts that the shape is sound: at most 64 shards, groups as in kernels/quantize.h.
  explicit PackedLayout(const MatrixShape& shape);

  std::int64_t n = 0;
  DType dtype = DType::f32;
  std::int32_t shards = 0;
  std::int32_t group = 0;         ///< of i8, i4 and u4: k per scale
  std::int32_t group_blocks = 0;  ///< and blocks per whole group
  // Of each shard, and behind the last one.
  std::int32_t k_begin[most_shards + 1] = {};
  std::int32_t padded_begin[most_shards + 1] = {};  ///< floats: k in a row; else blocks in a strip
  std::int32_t group_begin[most_shards + 1] = {};

  TRIREME_HOST_DEVICE bool quantized() const { return group > 0; }
  TRIREME_HOST_DEVICE std::int32_t k() const { return k_begin[shards]; }
  TRIREME_HOST_DEVICE std::int32_t width(std::int32_t shard) const {
    return k_begin[shard + 1] - k_begin[shard];
  }
  /// The shard that holds k.
  TRIREME_HOST_DEVICE std::int32_t shard_of(std::int32_t k) const {
    std::int32_t shard = 0;
    while (k >= k_begin[shard + 1]) ++shard;
    return shard;
  }

  // Floats.

  /// Elements from one row to the next.
  TRIREME_HOST_DEVICE std::int32_t pitch() const { return padded_begin[shards]; }

  // i8, i4 and u4.

  TRIREME_HOST_DEVICE std::int32_t groups() const { return group_begin[shards]; }
  TRIREME_HOST_DEVICE std::int32_t blocks() const { return padded_begin[shards]; }
  TRIREME_HOST_DEVICE std::int64_t block_bytes() const {
    return strip_rows * block_k / (dtype == DType::i8 ? 1 : 2);
  }
  /// From a strip's begin.
  TRIREME_HOST_DEVICE std::int64_t scales_offset() const { return blocks() * block_bytes(); }
  TRIREME_HOST_DEVICE std::int64_t zeros_offset() const {
    return scales_offset() + groups() * strip_rows * 2;
  }
  TRIREME_HOST_DEVICE std::int64_t strip_bytes() const {
    const std::int64_t zeros = dtype == DType::u4 ? groups() * strip_rows : 0;
    return (zeros_offset() + zeros + 127) / 128 * 128;
  }
  /// Where row `row` of a strip is among the scales of a group, and among its zeros.
  TRIREME_HOST_DEVICE static std::int64_t scale_index(std::int64_t row) {
    return row % 8 * 4 + row / 8;
  }
  /// The byte of a block that holds row `row` of the strip at position k of the block, and whether
  /// in its high half (i4 and u4).
  TRIREME_HOST_DEVICE std::int64_t code_byte(std::int64_t row, std::int64_t k) const {
    const std::int64_t lane = row % 8 * 4 + k / 8;
    if (dtype != DType::i8) return lane * 16 + row / 8 * 4 + k % 4;
    return row / 16 * 512 + lane * 16 + (k % 8 / 4 * 2 + row / 8 % 2) * 4 + k % 4;
  }
  TRIREME_HOST_DEVICE static bool in_high_half(std::int64_t k) { return k % 8 >= 4; }
};

/// Bytes of one panel; every panel takes the same.
std::size_t panel_bytes(const MatrixShape& shape);
/// Bytes of the whole matrix.
std::size_t packed_bytes(const MatrixShape& shape);

/// Packs the rows of one panel, [panel * 64, ...) cut off at n, into the panel_bytes() at
/// `panel_out`. `source` holds those rows as in Backend::pack_panel. Thread-safe for different
/// panels.
void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                std::byte* panel_out);

/// The inverse, as float32, for one row of W: `out` is [k].
void unpack_row(const MatrixShape& shape, std::int64_t row, const std::byte* packed, float* out);

}  // namespace trireme::cuda
