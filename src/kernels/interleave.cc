#include "kernels/interleave.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/packed.h"

namespace trireme::packed {

namespace {

constexpr auto lanes = static_cast<std::size_t>(panel_rows);
constexpr std::size_t line = 64;

__m128i load(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

void store(std::byte* to, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
}

/// Four rows of four words.
struct Words {
  static constexpr std::size_t unit = 4;
  static constexpr std::size_t side = 4;

  static void turn(const std::byte* source, std::size_t row_bytes, std::byte* target) {
    const __m128i a = load(source);
    const __m128i b = load(source + row_bytes);
    const __m128i c = load(source + 2 * row_bytes);
    const __m128i d = load(source + 3 * row_bytes);
    const __m128i ab_low = _mm_unpacklo_epi32(a, b);
    const __m128i ab_high = _mm_unpackhi_epi32(a, b);
    const __m128i cd_low = _mm_unpacklo_epi32(c, d);
    const __m128i cd_high = _mm_unpackhi_epi32(c, d);
    constexpr std::size_t step = lanes * unit;
    store(target, _mm_unpacklo_epi64(ab_low, cd_low));
    store(target + step, _mm_unpackhi_epi64(ab_low, cd_low));
    store(target + 2 * step, _mm_unpacklo_epi64(ab_high, cd_high));
    store(target + 3 * step, _mm_unpackhi_epi64(ab_high, cd_high));
  }
};

/// Eight rows of eight halves.
struct Halves {
  static constexpr std::size_t unit = 2;
  static constexpr std::size_t side = 8;

  static void turn(const std::byte* source, std::size_t row_bytes, std::byte* target) {
    __m128i rows[side];
    for (std::size_t i = 0; i < side; ++i) rows[i] = load(source + i * row_bytes);
    // Each step pairs row i with row i + 4: after three, a register is a column.
    for (int step = 0; step < 3; ++step) {
      __m128i next[side];
      for (std::size_t i = 0; i < side / 2; ++i) {
        next[2 * i] = _mm_unpacklo_epi16(rows[i], rows[i + side / 2]);
        next[2 * i + 1] = _mm_unpackhi_epi16(rows[i], rows[i + side / 2]);
      }
      std::copy(next, next + side, rows);
    }
    for (std::size_t i = 0; i < side; ++i) store(target + i * lanes * unit, rows[i]);
  }
};

/// One by one: what is left beside the squares.
template <std::size_t unit>
void copy_units(const std::byte* source, std::size_t row_bytes, std::size_t row_begin,
                std::size_t row_end, std::size_t begin, std::size_t end, std::byte* target) {
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t row = row_begin; row < row_end; ++row) {
      std::memcpy(target + (i * lanes + row) * unit, source + row * row_bytes + i * unit, unit);
    }
  }
}

/// A line of every row is used up before the next line: rows are often a power of two apart, and a
/// cache holds few such lines.
template <typename Square>
void interleave(const std::byte* source, std::size_t row_bytes, std::size_t rows, std::size_t count,
                std::byte* target) {
  constexpr std::size_t unit = Square::unit;
  constexpr std::size_t side = Square::side;
  constexpr std::size_t units_per_line = line / unit;
  const std::size_t square_rows = rows / side * side;
  const std::size_t square_count = count / side * side;
  for (std::size_t begin = 0; begin < square_count; begin += units_per_line) {
    const std::size_t end = std::min(begin + units_per_line, square_count);
    for (std::size_t row = 0; row < square_rows; row += side) {
      for (std::size_t i = begin; i < end; i += side) {
        Square::turn(source + row * row_bytes + i * unit, row_bytes,
                     target + (i * lanes + row) * unit);
      }
    }
  }
  copy_units<unit>(source, row_bytes, 0, square_rows, square_count, count, target);
  copy_units<unit>(source, row_bytes, square_rows, rows, 0, count, target);
}

}  // namespace

void interleave_words(const std::byte* source, std::size_t row_bytes, std::size_t rows,
                      std::size_t count, std::byte* target) {
  interleave<Words>(source, row_bytes, rows, count, target);
}

void interleave_halves(const std::byte* source, std::size_t row_bytes, std::size_t rows,
                       std::size_t count, std::byte* target) {
  interleave<Halves>(source, row_bytes, rows, count, target);
}

}  // namespace trireme::packed
