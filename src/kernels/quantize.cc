#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace trireme::quant {

namespace {

/// To the nearest integer, ties to even, for |value| < 2^22: without a library call, so that loops
/// become vectors.
inline float rounded(float value) {
  constexpr float shift = 0x1.8p23f;
  return (value + shift) - shift;
}

float largest_magnitude(const float* x, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

bool all_finite(const float* x, std::int64_t count) {
  float zeros = 0;
  for (std::int64_t i = 0; i < count; ++i) zeros += x[i] * 0.0f;
  return zeros == 0.0f;
}

void store(const float* w, std::int64_t count, float scale, int least, int most, int zero,
           std::uint8_t* q) {
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value =
        std::clamp(rounded(w[i] * inverse), static_cast<float>(least), static_cast<float>(most));
    q[i] = static_cast<std::uint8_t>(static_cast<int>(value) + zero);
  }
}

/// The least float16 that is not below `value` (positive).
std::uint16_t round_up_to_f16(float value) {
  const std::uint16_t bits = f32_to_f16(value);
  return f16_to_f32(bits) < value ? static_cast<std::uint16_t>(bits + 1) : bits;
}

/// How much of the weights' square a scale explains once the integers are chosen by it and the
/// scale is then refitted: (w . q)^2 / q . q, and that refitted scale.
struct Fit {
  float explained = -1;
  float scale = 0;
};

Fit fit_four_bits(const float* w, std::int64_t count, float inverse) {
  float products = 0;
  float squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float q = std::clamp(rounded(w[i] * inverse), -8.0f, 7.0f);
    products += w[i] * q;
    squares += q * q;
  }
  if (squares == 0) return {};
  return {products * products / squares, products / squares};
}

/// Sixteen levels reach from -8 to 7: the weight of largest magnitude goes to the side that has
/// more, and a little clipping or slack there may serve the others.
float four_bit_scale(const float* w, std::int64_t count) {
  float extreme = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::fabs(w[i]) > std::fabs(extreme)) extreme = w[i];
  }
  if (extreme == 0) return 0;
  Fit best;
  for (const float level : {-8.0f, -7.6f, -7.2f, -6.8f, -8.5f, -9.1f, 7.0f}) {
    const Fit fit = fit_four_bits(w, count, level / extreme);
    if (fit.explained > best.explained) best = fit;
  }
  return best.scale;
}

constexpr std::uint16_t f16_nan = 0x7e00;
constexpr std::uint16_t f16_largest = 0x7bff;

}  // namespace

std::uint16_t quantize_weights(const float* w, std::int64_t count, DType dtype, std::uint8_t* q) {
  TRIREME_ASSERT(is_quantized(dtype) && count <= widest_group);
  const int zero = zero_of(dtype);
  if (!all_finite(w, count)) {
    std::fill_n(q, count, static_cast<std::uint8_t>(zero));
    return f16_nan;
  }
  if (dtype == DType::i4) {
    const float largest = f16_to_f32(f16_largest);
    const std::uint16_t scale = f32_to_f16(std::clamp(four_bit_scale(w, count), -largest, largest));
    store(w, count, f16_to_f32(scale), -8, 7, zero, q);
    return scale;
  }
  const std::uint16_t scale =
      std::min(round_up_to_f16(largest_magnitude(w, count) / 127.0f), f16_largest);
  store(w, count, f16_to_f32(scale), -127, 127, zero, q);
  return scale;
}

Activations quantize_activations(const float* x, std::int64_t count, std::int8_t* q) {
  TRIREME_ASSERT(count <= widest_group);
  std::fill_n(q, count, std::int8_t{0});
  if (!all_finite(x, count)) return {std::nanf(""), 0};
  const float largest = largest_magnitude(x, count);
  if (largest < smallest_activation) return {};
  const float inverse = 127.0f / largest;
  Activations group{largest / 127.0f, 0};
  for (std::int64_t i = 0; i < count; ++i) {
    q[i] = static_cast<std::int8_t>(rounded(x[i] * inverse));
    group.sum += q[i];
  }
  return group;
}

}  // namespace trireme::quant
