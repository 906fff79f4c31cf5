#include "kernels/quantize.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
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

constexpr std::uint32_t infinity_bits = 0x7f800000u;

/// Of positive numbers the larger has the larger bits: NaN and infinities end up at infinity_bits
/// or above, and a maximum of integers may be taken in any order.
std::uint32_t largest_magnitude_bits(const float* x, std::int64_t count) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  }
  return static_cast<std::uint32_t>(largest);
}

void store(const float* w, std::int64_t count, float scale, int least, int most, int zero,
           std::uint8_t* q) {
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  const auto low = static_cast<float>(least);
  const auto high = static_cast<float>(most);
  for (std::int64_t i = 0; i < count; ++i) {
    float value = rounded(w[i] * inverse);
    value = value < low ? low : value;
    value = high < value ? high : value;
    q[i] = static_cast<std::uint8_t>(static_cast<int>(value) + zero);
  }
}

/// The least float16 that is not below `value` (positive).
std::uint16_t round_up_to_f16(float value) {
  const std::uint16_t bits = f32_to_f16(value);
  return f16_to_f32(bits) < value ? static_cast<std::uint16_t>(bits + 1) : bits;
}

/// What to divide the largest weight by. Sixteen levels reach from -8 to 7: the weight of largest
/// magnitude goes to the side that has more, and a little clipping or slack there may serve the
/// others. The first is there twice, to fill two registers.
constexpr int four_bit_levels = 8;
constexpr float levels[four_bit_levels] = {-8.0f, -7.6f, -7.2f, -6.8f, -8.5f, -9.1f, 7.0f, -8.0f};

/// w . q and q . q of each level, where q are the integers that it would choose.
struct Fits {
  float products[four_bit_levels];
  float squares[four_bit_levels];
};

/// The levels are the lanes; within one, weights add up in ascending order.
Fits fit_four_bits(const float* w, std::int64_t count, float extreme) {
  const __m128 shift = _mm_set1_ps(0x1.8p23f);
  const __m128 low = _mm_set1_ps(-8.0f);
  const __m128 high = _mm_set1_ps(7.0f);
  Fits fits;
  for (int half = 0; half < four_bit_levels; half += 4) {
    const __m128 inverse = _mm_div_ps(_mm_loadu_ps(levels + half), _mm_set1_ps(extreme));
    __m128 products = _mm_setzero_ps();
    __m128 squares = _mm_setzero_ps();
    for (std::int64_t i = 0; i < count; ++i) {
      const __m128 weight = _mm_set1_ps(w[i]);
      __m128 q = _mm_sub_ps(_mm_add_ps(_mm_mul_ps(weight, inverse), shift), shift);
      q = _mm_min_ps(high, _mm_max_ps(low, q));  // in this order NaN stays NaN
      products = _mm_add_ps(products, _mm_mul_ps(weight, q));
      squares = _mm_add_ps(squares, _mm_mul_ps(q, q));
    }
    _mm_storeu_ps(fits.products + half, products);
    _mm_storeu_ps(fits.squares + half, squares);
  }
  return fits;
}

/// The scale that explains most of the weights' square, (w . q)^2 / q . q, refitted to the integers
/// that it chooses.
float four_bit_scale(const float* w, std::int64_t count, std::uint32_t largest_bits) {
  if (largest_bits == 0) return 0;
  std::int64_t at = 0;
  while ((std::bit_cast<std::uint32_t>(w[at]) & 0x7fffffffu) != largest_bits) ++at;
  const Fits fits = fit_four_bits(w, count, w[at]);
  float most = -1;
  float scale = 0;
  for (int level = 0; level < four_bit_levels; ++level) {
    const float product = fits.products[level];
    const float square = fits.squares[level];
    if (square == 0 || !(product * product / square > most)) continue;
    most = product * product / square;
    scale = product / square;
  }
  return scale;
}

constexpr std::uint16_t f16_nan = 0x7e00;
constexpr std::uint16_t f16_largest = 0x7bff;

}  // namespace

std::uint16_t quantize_weights(const float* w, std::int64_t count, DType dtype, std::uint8_t* q) {
  TRIREME_ASSERT(dtype == DType::i8 || dtype == DType::i4);
  TRIREME_ASSERT(count <= widest_group);
  const int zero = zero_of(dtype);
  const std::uint32_t largest_bits = largest_magnitude_bits(w, count);
  if (largest_bits >= infinity_bits) {
    std::fill_n(q, count, static_cast<std::uint8_t>(zero));
    return f16_nan;
  }
  if (dtype == DType::i4) {
    const float limit = f16_to_f32(f16_largest);
    const std::uint16_t scale =
        f32_to_f16(std::clamp(four_bit_scale(w, count, largest_bits), -limit, limit));
    store(w, count, f16_to_f32(scale), -8, 7, zero, q);
    return scale;
  }
  const std::uint16_t scale =
      std::min(round_up_to_f16(std::bit_cast<float>(largest_bits) / 127.0f), f16_largest);
  store(w, count, f16_to_f32(scale), -127, 127, zero, q);
  return scale;
}

Activations quantize_activations(const float* x, std::int64_t count, std::int8_t* q) {
  TRIREME_ASSERT(count <= widest_group);
  std::fill_n(q, count, std::int8_t{0});
  const std::uint32_t largest_bits = largest_magnitude_bits(x, count);
  if (largest_bits >= infinity_bits) return {std::nanf(""), 0};
  const auto largest = std::bit_cast<float>(largest_bits);
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
