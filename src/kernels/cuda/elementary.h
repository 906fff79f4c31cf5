// kernels/elementary.inc for one float in a kernel: the bits of the reference's functions.
#pragma once

#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

__device__ inline float madd(float a, float b, float c) { return fmaf(a, b, c); }
/// b where the two do not compare, as maxps does.
__device__ inline float larger(float a, float b) { return a > b ? a : b; }
__device__ inline float smaller(float a, float b) { return a < b ? a : b; }
__device__ inline float magnitude(float a) { return fabsf(a); }
__device__ inline float negative_or(float sign, float if_negative, float otherwise) {
  return sign < 0.0f ? if_negative : otherwise;
}

__device__ inline float power_of_two(std::int32_t exponent) {
  return __uint_as_float(static_cast<std::uint32_t>(exponent + 127) << 23);
}

/// value * 2^n in two steps, n being the integer in the low bits of `shifted` (n + 1.5 * 2^23).
__device__ inline float scale_by_power(float value, float shifted) {
  const auto n = static_cast<std::int32_t>(__float_as_uint(shifted) - 0x4b400000u);
  const std::int32_t half = n >> 1;
  return value * power_of_two(half) * power_of_two(n - half);
}

__device__ inline float round_down(float a) { return floorf(a); }
/// value * 2^whole, a normal number; 0 where whole < -126. `whole` is an integer or not a number.
__device__ inline float scale_or_zero(float value, float whole) {
  if (whole != whole) return whole;
  return whole < -126.0f ? 0.0f : value * power_of_two(static_cast<std::int32_t>(whole));
}

#define TRIREME_ELEMENTARY __device__
#include "kernels/elementary.inc"

}  // namespace trireme::cuda
