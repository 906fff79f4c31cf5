// The functions of kernels/elementary.inc for one float, and the fixed sum over 16 lanes.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace trireme::reference {

inline float madd(float a, float b, float c) { return std::fma(a, b, c); }
/// b where the two do not compare, as maxps does.
inline float larger(float a, float b) { return a > b ? a : b; }
inline float smaller(float a, float b) { return a < b ? a : b; }
inline float magnitude(float a) { return std::fabs(a); }
inline float negative_or(float sign, float if_negative, float otherwise) {
  return sign < 0.0f ? if_negative : otherwise;
}

inline float power_of_two(std::int32_t exponent) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23);
}

/// value * 2^n in two steps, n being the integer in the low bits of `shifted` (n + 1.5 * 2^23).
inline float scale_by_power(float value, float shifted) {
  const auto n = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - 0x4b400000u);
  const std::int32_t half = n >> 1;
  return value * power_of_two(half) * power_of_two(n - half);
}

inline float round_down(float a) { return std::floor(a); }
/// value * 2^whole, a normal number; 0 where whole < -126. `whole` is an integer or not a number.
inline float scale_or_zero(float value, float whole) {
  if (std::isnan(whole)) return whole;
  return whole < -126.0f ? 0.0f : value * power_of_two(static_cast<std::int32_t>(whole));
}

#include "kernels/elementary.inc"

/// Sixteen running sums: element i of a row goes to lane i mod 16, so that a vector unit can
/// follow.
struct Lanes {
  static constexpr int count = 16;
  float lane[count] = {};

  /// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
  float sum() {
    for (int width = count / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    }
    return lane[0];
  }
};

}  // namespace trireme::reference
