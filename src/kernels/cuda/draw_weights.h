// What a logit is to the draw: its place in the order from the best token to the worst, and the
// token's weight.
#pragma once

#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

using Weight = unsigned long long;

/// The weight of the best token; 2^18 of them are below 2^63.
inline constexpr int weight_bits = 44;
inline constexpr Weight whole_weight = Weight{1} << weight_bits;

/// Bins by distance from the best logit: tokens of the last one weigh nothing.
inline constexpr int bin_count = 2048;
inline constexpr float bins_per_unit = 64.0f;

/// e^x for -32 <= x <= 0, to about 1 ulp. x = n ln 2 + r as in elementary.inc; e^r is its series to
/// r^12 / 12!, where |r| <= ln 2 / 2 leaves less than 2e-16.
__device__ inline double exp_of_double(double x) {
  const double shifter = 0x1.8p52;
  const double shifted = fma(x, 1.4426950408889634, shifter);
  const double n = shifted - shifter;
  double r = fma(n, -0x1.62e42fefa3800p-1, x);
  r = fma(n, -0x1.ef35793c76730p-45, r);
  double p = 1.0 / 479001600.0;
  p = fma(p, r, 1.0 / 39916800.0);
  p = fma(p, r, 1.0 / 3628800.0);
  p = fma(p, r, 1.0 / 362880.0);
  p = fma(p, r, 1.0 / 40320.0);
  p = fma(p, r, 1.0 / 5040.0);
  p = fma(p, r, 1.0 / 720.0);
  p = fma(p, r, 1.0 / 120.0);
  p = fma(p, r, 1.0 / 24.0);
  p = fma(p, r, 1.0 / 6.0);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  return p * __longlong_as_double((static_cast<long long>(n) + 1023) << 52);
}

/// Of a logit that is at most `best`, neither being NaN.
__device__ inline Weight weight_of(float logit, float best) {
  if (logit == best) return whole_weight;
  const double distance = static_cast<double>(logit) - static_cast<double>(best);
  if (!(distance > -32.0)) return 0;
  return static_cast<Weight>(exp_of_double(distance) * static_cast<double>(whole_weight) + 0.5);
}

/// Never falls from a better logit to a worse one.
__device__ inline int bin_of(float logit, float best) {
  if (logit == best) return 0;
  const float distance = best - logit;
  constexpr float last = static_cast<float>(bin_count - 1) / bins_per_unit;
  return distance < last ? static_cast<int>(distance * bins_per_unit) : bin_count - 1;
}

/// Ascending from the best logit to the worst; the same for zeros of either sign.
__device__ inline std::uint32_t sort_key(float logit) {
  const std::uint32_t bits = __float_as_uint(logit + 0.0f);
  return bits >> 31 != 0 ? bits : 0x7fffffffu - bits;
}

}  // namespace trireme::cuda
