// Integers of four or eight bits as GPTQ and AWQ pack them into 32-bit words. Pure functions over
// the words of a rectangle of W [n, k] of y = x W^T.
//
//   GPTQ  qweight [k / per word, n]: a word holds consecutive k of one n, the lowest bits first
//         qzeros  [groups, n / per word]: consecutive n, the lowest bits first
//   AWQ   qweight [k, n / 8], qzeros [groups, n / 8]: eight n, in the order 0 2 4 6 1 3 5 7 from
//         the lowest bits on (AutoAWQ's "gemm")
//
// GPTQ's older format ("gptq", v1) stores each zero less one. GPTQModel takes one from every field
// by one subtraction from the word, so that a zero of 0 borrows from its neighbour; one addition
// gives all of them back.
#pragma once

#include <cstdint>
#include <span>

#include "core/range.h"

namespace trireme {

/// Integers in a word.
constexpr std::int64_t integers_per_word(int bits) { return 32 / bits; }

/// The words that hold the integers [range).
inline Range words_of(Range range, int bits) {
  const std::int64_t each = integers_per_word(bits);
  return {range.begin / each, ceil_div(range.end, each)};
}

/// How a checkpoint's zeros are to be read.
struct GptqZeros {
  int bits = 4;
  bool less_one = true;
  /// All zeros are half of the range. Some such files call themselves v1 and are v2: half of the
  /// range and half of it less one both mean half of it, since nothing else can be meant.
  bool symmetric = false;
};

/// Codes of rows (n) and cols (k): `words` [words_of(cols), rows] -> `out` [rows, cols].
void unpack_gptq_codes(std::span<const std::uint32_t> words, Range rows, Range cols, int bits,
                       std::uint8_t* out);
/// `words` [groups, words_of(rows)] -> `out` [groups, rows].
void unpack_gptq_zeros(std::span<const std::uint32_t> words, std::int64_t groups, Range rows,
                       const GptqZeros& format, std::uint8_t* out);

/// `words` [cols, words_of(rows)] -> `out` [rows, cols].
void unpack_awq_codes(std::span<const std::uint32_t> words, Range rows, Range cols,
                      std::uint8_t* out);
/// `words` [groups, words_of(rows)] -> `out` [groups, rows].
void unpack_awq_zeros(std::span<const std::uint32_t> words, std::int64_t groups, Range rows,
                      std::uint8_t* out);

}  // namespace trireme
