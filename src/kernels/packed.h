// How a weight matrix lies in memory on the CPU: one layout for every CPU backend, so that the
// choice of instruction set never means packing again.
//
// A matrix W [n, k] of y = x W^T is cut into panels of 32 rows (32 columns of y; the last panel is
// filled up with zero rows). A panel holds the virtual shards of K one after another, and a shard
// holds
//
//   f32, f16:  [width][32]            one row per k, lanes across the panel
//   bf16:      [padded / 2][32][2]    pairs of k side by side (the VNNI order); the shard's K is
//                                     padded with zeros to a multiple of 32
//   i8, i4:    groups of the shard one after another: [32] float16 scales, then integers with their
//             zero added (kernels/quantize.h), each group padded with zeros to a multiple of 64 k:
//             i8  [padded / 4][32][4]     four k side by side
//             i4  [padded / 8][32][4]     eight k: the first four in the low halves of the bytes
//   u4:        likewise: [32] float16 scales, [32] float16 zeros, then integers as they are, each
//             group padded to a multiple of 8 k: [padded / 8][32][4] as in i4
//
// In bf16, 16 pairs of 16 lanes are one AMX tile of 16 rows of 64 bytes, 128 bytes apart, and so
// are 16 quads of i8; AVX units take a pair apart with a shift and a mask. float16 has no such unit
// (it computes through float32), so its halves stay in the order in which vcvtph2ps reads them.
// Every shard starts at a multiple of 64 bytes from the panel's begin.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/weight_format.h"
#include "kernels/backend.h"

namespace trireme::packed {

inline constexpr std::int64_t panel_rows = packed_panel_rows;
/// Shards of bf16 are padded to a multiple of this many k: the depth of one AMX tile.
inline constexpr std::int64_t bf16_k_step = 32;

/// Bytes of one panel: all its shards.
std::size_t panel_bytes(const MatrixShape& shape);

std::int64_t panel_count(const MatrixShape& shape);

/// Bytes of the whole matrix.
std::size_t matrix_bytes(const MatrixShape& shape);

/// One group of one row of W, of i8, i4 or u4: its scale, and where its integers are.
struct GroupView {
  const std::byte* group = nullptr;  ///< of a panel
  DType dtype = DType::i8;
  std::int64_t lane = 0;  ///< the row within the panel

  float scale() const;
  int zero() const;
  /// The integer at k of the group, its zero included.
  int code(std::int64_t k) const;
};

/// Index, in elements from the shard's begin, of row `lane` of the panel at position k of the
/// shard. Not for i8, i4 and u4.
inline std::int64_t element_index(DType dtype, std::int64_t lane, std::int64_t k) {
  if (dtype == DType::bf16) return (k / 2 * panel_rows + lane) * 2 + (k & 1);
  return k * panel_rows + lane;
}

/// Packs the rows [panel * 32, ...) cut off at n. `source` is row-major [rows, k] in the shape's
/// dtype, float32 for i8 and i4, CodedWeight for u4; `target` is where the panel goes.
void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                std::byte* target);

/// The inverse, as float32, for one row of W: `out` is [k].
void unpack_row(const MatrixShape& shape, std::int64_t row, const std::byte* matrix, float* out);

}  // namespace trireme::packed
