// Eight- and four-bit weights, and the eight-bit activations that they multiply.
//
// K is cut into groups of MatrixShape::group within each virtual shard (a shard's last group may be
// narrower), so groups belong to the model and not to the plan. Of a group, each row of W has a
// float16 scale s and integers q: w = s q, -127 <= q <= 127 (i8) or -8 <= q <= 7 (i4); or, of
// weights that come from a checkpoint in four bits, a zero z as well: w = s (q - z) with
// 0 <= q, z <= 15 (u4). Each row of
// x is rounded likewise when it is multiplied: a float32 scale and integers of eight bits per
// group. Products of integers are summed exactly, so every instruction set and any order gives the
// same bits; then
//
//   y = fma(float(sum of products), x's scale * w's scale, y)
//
// group by group in ascending order (of u4 the products are those of q - z). A group of x that
// holds an infinity or a NaN has the scale NaN.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace trireme::quant {

/// Groups of x and W may be at most so wide: sums stay exact in int32 and in float32.
inline constexpr std::int64_t widest_group = 512;

/// What is stored for an integer q of i8 and i4: q + zero, never negative.
inline constexpr int zero_of(DType dtype) { return dtype == DType::i8 ? 128 : 8; }

inline bool is_quantized(DType dtype) {
  return dtype == DType::i8 || dtype == DType::i4 || dtype == DType::u4;
}

/// Finds the integers of one group of a row of W, stored with their zero added, and returns the
/// bits of its scale. i8: the largest weight becomes 127. i4: of a few scales, the one with the
/// least squared error.
std::uint16_t quantize_weights(const float* w, std::int64_t count, DType dtype, std::uint8_t* q);

/// One group of a row of x.
struct Activations {
  float scale = 0;
  std::int32_t sum = 0;  ///< of the integers
};

/// Finds the integers of one group of x: the largest becomes 127, ties of rounding go to even.
Activations quantize_activations(const float* x, std::int64_t count, std::int8_t* q);

/// Groups whose largest magnitude is below this are taken as zero: their scale would be denormal.
inline constexpr float smallest_activation = 0x1p-100f;

}  // namespace trireme::quant
