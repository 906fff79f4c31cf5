// Integers out of words: known words by hand, and every rectangle against one integer at a time.
#include "weights/packed_words.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

using Words = std::vector<std::uint32_t>;
using Integers = std::vector<std::uint8_t>;

/// Words that differ in every bit.
Words some_words(std::int64_t count) {
  Words words;
  std::uint32_t state = 7;
  for (std::int64_t i = 0; i < count; ++i) words.push_back(state = state * 1664525u + 1013904223u);
  return words;
}

Words rectangle(const Words& all, std::int64_t width, Range lines, Range words) {
  Words out;
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    for (std::int64_t i = words.begin; i < words.end; ++i) {
      out.push_back(all[static_cast<std::size_t>(line * width + i)]);
    }
  }
  return out;
}

TEST(PackedWords, GptqPutsTheFirstInTheLowestBits) {
  Integers out(8);
  unpack_gptq_codes(Words{0x76543210u}, {0, 1}, {0, 8}, 4, out.data());
  EXPECT_EQ(out, (Integers{0, 1, 2, 3, 4, 5, 6, 7}));
  out.resize(4);
  unpack_gptq_codes(Words{0xff800201u}, {0, 1}, {0, 4}, 8, out.data());
  EXPECT_EQ(out, (Integers{0x01, 0x02, 0x80, 0xff}));
}

TEST(PackedWords, AwqInterleaves) {
  Integers out(8);
  unpack_awq_zeros(Words{0x75316420u}, 1, {0, 8}, out.data());
  EXPECT_EQ(out, (Integers{0, 1, 2, 3, 4, 5, 6, 7}));
  unpack_awq_codes(Words{0x75316420u}, {0, 8}, {0, 1}, out.data());
  EXPECT_EQ(out, (Integers{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(PackedWords, ZerosOfV1AreOneLess) {
  Integers out(8);
  unpack_gptq_zeros(Words{0x76543210u}, 1, {0, 8}, {4, true, false}, out.data());
  EXPECT_EQ(out, (Integers{1, 2, 3, 4, 5, 6, 7, 8}));
  unpack_gptq_zeros(Words{0x76543210u}, 1, {0, 8}, {4, false, false}, out.data());
  EXPECT_EQ(out, (Integers{0, 1, 2, 3, 4, 5, 6, 7}));
  // Zeros 0, 5, 0, 0, 8, 15, 0, 0 less one: each 0 borrows.
  const std::uint32_t zeros = 0x00f80050u;
  unpack_gptq_zeros(Words{zeros - 0x11111111u}, 1, {0, 8}, {4, true, false}, out.data());
  EXPECT_EQ(out, (Integers{0, 5, 0, 0, 8, 15, 0, 0}));
  out.resize(2);
  unpack_gptq_zeros(Words{0x00050080u - 0x01010101u}, 1, {2, 4}, {8, true, false}, out.data());
  EXPECT_EQ(out, (Integers{5, 0}));
}

TEST(PackedWords, SymmetricZerosAreHalfOfTheRangeInEitherSpelling) {
  Integers out(8);
  for (const bool less_one : {false, true}) {
    for (const std::uint32_t word : {0x77777777u, 0x88888888u}) {
      unpack_gptq_zeros(Words{word}, 1, {0, 8}, {4, less_one, true}, out.data());
      EXPECT_EQ(out, Integers(8, 8));
    }
    unpack_gptq_zeros(Words{0x7f807f80u}, 1, {0, 4}, {8, less_one, true}, out.data());
    EXPECT_EQ(out[0], 128);
    EXPECT_EQ(out[1], 128);
  }
  // Anything else is what it says.
  unpack_gptq_zeros(Words{0x33333333u}, 1, {0, 8}, {4, true, true}, out.data());
  EXPECT_EQ(out, Integers(8, 4));
}

const Range some_rows[] = {{0, 40}, {0, 1}, {3, 4}, {7, 9}, {8, 16}, {5, 39}, {39, 40}, {4, 4}};

TEST(PackedWords, EveryRectangleOfGptq) {
  for (const int bits : {4, 8}) {
    const std::int64_t each = integers_per_word(bits);
    const std::int64_t n = 40;
    const std::int64_t k = 48;
    const Words all = some_words(k / each * n);
    for (const Range rows : some_rows) {
      for (const Range cols : {Range{0, k}, Range{0, 1}, Range{5, 6}, Range{7, 17}, Range{8, 24}}) {
        Integers out(static_cast<std::size_t>(rows.size() * cols.size()));
        unpack_gptq_codes(rectangle(all, n, words_of(cols, bits), rows), rows, cols, bits,
                          out.data());
        for (std::int64_t i = 0; i < static_cast<std::int64_t>(out.size()); ++i) {
          const std::int64_t row = rows.begin + i / cols.size();
          const std::int64_t col = cols.begin + i % cols.size();
          const std::uint32_t word = all[static_cast<std::size_t>(col / each * n + row)];
          ASSERT_EQ(out[static_cast<std::size_t>(i)],
                    word >> (col % each * bits) & ((1u << bits) - 1))
              << row << " " << col;
        }
      }
    }
  }
}

TEST(PackedWords, EveryRectangleOfAwq) {
  constexpr std::int64_t place[] = {0, 4, 1, 5, 2, 6, 3, 7};
  const std::int64_t words = 5;
  const Words all = some_words(48 * words);
  for (const Range rows : some_rows) {
    for (const Range cols : {Range{0, 48}, Range{0, 1}, Range{15, 33}, Range{16, 48}}) {
      Integers out(static_cast<std::size_t>(rows.size() * cols.size()));
      unpack_awq_codes(rectangle(all, words, cols, words_of(rows, 4)), rows, cols, out.data());
      Integers zeros(out.size());
      unpack_awq_zeros(rectangle(all, words, cols, words_of(rows, 4)), cols.size(), rows,
                       zeros.data());
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t col = cols.begin; col < cols.end; ++col) {
          const std::uint32_t word = all[static_cast<std::size_t>(col * words + row / 8)];
          const std::uint32_t expected = word >> (4 * place[row % 8]) & 15;
          const std::int64_t across = row - rows.begin;
          const std::int64_t down = col - cols.begin;
          ASSERT_EQ(out[static_cast<std::size_t>(across * cols.size() + down)], expected);
          ASSERT_EQ(zeros[static_cast<std::size_t>(down * rows.size() + across)], expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme
