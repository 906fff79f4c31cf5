// Scalar float32 arithmetic as the bfloat16 units of x86 do it (VDPBF16PS, TDPBF16PS), whatever
// MXCSR says: one rounding to nearest even, denormal inputs taken as zero, a denormal result
// flushed to zero. A NaN's payload is not specified.
#pragma once

#include <bit>
#include <cstdint>

namespace trireme {

/// `value`, or a zero of its sign if it is denormal.
inline float flush_input(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x7f800000u) == 0 ? std::bit_cast<float>(bits & 0x80000000u) : value;
}

/// Rounds a result to float32 once. `exact` is a sum of two numbers of at most 24 significant bits,
/// computed in double: since 53 >= 2 * 24 + 2 the second rounding does no harm (Figueroa, "When is
/// double rounding innocuous?", 1995). Tininess is detected after rounding, as x86 does: what would
/// round up to the smallest normal number, 2^-126, with an unbounded exponent is not flushed.
inline float round_flushing(double exact) {
  constexpr double smallest_kept = 0x1p-126 - 0x1p-151;
  const double size = exact < 0 ? -exact : exact;
  const auto sign = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(exact) >> 32);
  return size < smallest_kept ? std::bit_cast<float>(sign & 0x80000000u)
                              : static_cast<float>(exact);
}

/// a * b + c; `a` and `b` are bfloat16 values.
inline float fma_flushing(float a, float b, float c) {
  return round_flushing(static_cast<double>(flush_input(a)) * static_cast<double>(flush_input(b)) +
                        static_cast<double>(flush_input(c)));
}

/// a * b.
inline float multiply_flushing(float a, float b) {
  return round_flushing(static_cast<double>(flush_input(a)) * static_cast<double>(flush_input(b)));
}

/// a + b.
inline float add_flushing(float a, float b) {
  return round_flushing(static_cast<double>(flush_input(a)) + static_cast<double>(flush_input(b)));
}

}  // namespace trireme
