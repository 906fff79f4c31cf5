// The emulated tile instructions against what the Intel SDM says about them.
#include "kernels/cpu/amx_emulator.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/dtype.h"
#include "kernels/flushing.h"

namespace trireme::amx {
namespace {

constexpr float smallest_normal = std::numeric_limits<float>::min();

/// C rows x 16, A rows x 32, B 16 x 32; `rows` of C and A.
TileConfig config_of(int rows, int pairs = 16) {
  TileConfig config;
  config.rows[0] = config.rows[1] = static_cast<std::uint8_t>(rows);
  config.rows[2] = static_cast<std::uint8_t>(pairs);
  config.row_bytes[0] = config.row_bytes[2] = 64;
  config.row_bytes[1] = static_cast<std::uint16_t>(4 * pairs);
  return config;
}

/// One product of 1 x 32 by 32 x 16, the same weights in each column, added to `c`.
float dot(const std::vector<float>& a, const std::vector<float>& b, float c = 0) {
  EmulatedTiles tiles(config_of(1));
  std::uint16_t a_row[32] = {};
  std::uint16_t b_rows[16][32] = {};
  float c_row[16];
  for (float& value : c_row) value = c;
  for (std::size_t k = 0; k < a.size(); ++k) {
    a_row[k] = f32_to_bf16(a[k]);
    for (std::size_t n = 0; n < 16; ++n) b_rows[k / 2][2 * n + k % 2] = f32_to_bf16(b[k]);
  }
  tiles.load<0>(c_row, 64);
  tiles.load<1>(a_row, 64);
  tiles.load<2>(b_rows, 64);
  tiles.dot<0, 1, 2>();
  tiles.store<0>(c_row, 64);
  for (const float value : c_row) EXPECT_EQ(std::memcmp(&value, c_row, sizeof(float)), 0);
  return c_row[7];
}

TEST(AmxEmulator, LoadAndStoreTouchTheConfiguredPartOnly) {
  TileConfig config = config_of(3);
  config.row_bytes[0] = 20;
  EmulatedTiles tiles(config);
  std::uint8_t source[4][100];
  std::memset(source, 7, sizeof(source));
  std::uint8_t target[4][100] = {};
  tiles.load<0>(source, 100);
  tiles.store<0>(target, 100);
  for (int row = 0; row < 4; ++row) {
    for (int byte = 0; byte < 100; ++byte) {
      EXPECT_EQ(target[row][byte], row < 3 && byte < 20 ? 7 : 0) << row << " " << byte;
    }
  }
}

TEST(AmxEmulator, LoadClearsWhatItDoesNotRead) {
  // A wide B read again as a narrow one: its old columns must not be there.
  EmulatedTiles tiles(config_of(16));
  std::vector<std::uint16_t> ones(16 * 32, f32_to_bf16(1.0f));
  float c[16][16] = {};
  tiles.load<1>(ones.data(), 64);
  tiles.load<2>(ones.data(), 64);
  tiles.zero<0>();
  tiles.dot<0, 1, 2>();
  tiles.store<0>(c, 64);
  for (const auto& row : c) {
    for (const float value : row) EXPECT_EQ(value, 32.0f);
  }
}

TEST(AmxEmulator, RowsBeyondTheConfiguredOnesStayZero) {
  EmulatedTiles tiles(config_of(5));
  std::vector<std::uint16_t> ones(16 * 32, f32_to_bf16(1.0f));
  float c[16][16] = {};
  tiles.zero<0>();
  tiles.load<1>(ones.data(), 64);
  tiles.load<2>(ones.data(), 64);
  tiles.dot<0, 1, 2>();
  tiles.store<0>(c, 64);
  for (int row = 0; row < 16; ++row) EXPECT_EQ(c[row][3], row < 5 ? 32.0f : 0.0f);
}

TEST(AmxEmulator, EvenAndOddElementsAreSeparateChains) {
  const float big = std::ldexp(1.0f, 24);
  // One chain would lose the 1s beside 2^24; the odd chain does not see the even one.
  EXPECT_EQ(dot({big, 1, 0, 1}, {1, 1, 1, 1}), big + 2);
  EXPECT_EQ(dot({big, 0, 1, 0, 1}, {1, 1, 1, 1, 1}), big);
  // The pairs' sum meets the accumulator last: 1 + (2^24 - 2^24).
  EXPECT_EQ(dot({big, -big}, {1, 1}, 1), 1.0f);
}

TEST(AmxEmulator, RoundsToNearestEven) {
  const float one_ulp = std::ldexp(1.0f, -23);
  EXPECT_EQ(dot({1, 0, one_ulp / 2}, {1, 0, 1}), 1.0f);
  EXPECT_EQ(dot({1, 0, one_ulp, 0, one_ulp / 2}, {1, 0, 1, 0, 1}), 1 + 2 * one_ulp);
}

TEST(AmxEmulator, DenormalsAreZero) {
  const float denormal = smallest_normal / 2;
  EXPECT_EQ(dot({denormal}, {std::ldexp(1.0f, 60)}), 0.0f);
  EXPECT_EQ(dot({0}, {0}, denormal), 0.0f);
  // Both factors normal, the product not; but as part of a larger sum its bits count.
  const float tiny = std::ldexp(1.0f, -70);
  EXPECT_EQ(dot({tiny}, {tiny}), 0.0f);
  EXPECT_TRUE(std::signbit(fma_flushing(tiny, -tiny, 0.0f)));
  const float small = std::ldexp(1.0f, -68);
  EXPECT_EQ(dot({smallest_normal, 0, small}, {1, 0, small}),
            smallest_normal * (1 + std::ldexp(1.0f, -10)));
  // A result just below the smallest normal number rounds up to it and is kept.
  EXPECT_EQ(fma_flushing(std::ldexp(1.0f, -100), std::ldexp(-1.0f, -60), smallest_normal),
            smallest_normal);
  EXPECT_EQ(add_flushing(smallest_normal * 1.5f, -smallest_normal), 0.0f);
}

TEST(AmxEmulator, InfinityAndNan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(dot({infinity}, {2}), infinity);
  EXPECT_TRUE(std::isnan(dot({infinity}, {0})));
  EXPECT_TRUE(std::isnan(dot({infinity, infinity}, {1, -1})));
  const float huge = std::ldexp(1.0f, 127);
  EXPECT_EQ(dot({huge, huge}, {1, 1}), infinity);
}

TEST(AmxEmulator, MultipliesAndAddsWithOneRounding) {
  std::mt19937 random(5);
  for (int i = 0; i < 1000000; ++i) {
    const float a = bf16_to_f32(static_cast<std::uint16_t>(random()));
    const float b = bf16_to_f32(static_cast<std::uint16_t>(random()));
    const float c = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isnormal(a) || !std::isnormal(b) || !std::isnormal(c)) continue;
    const float expected = std::fma(a, b, c);
    if (std::isnormal(expected) && std::fabs(expected) > smallest_normal) {
      ASSERT_EQ(fma_flushing(a, b, c), expected) << a << " " << b << " " << c;
    }
  }
}

/// One row of bytes by 16 columns of the same bytes, added to `c`.
std::int32_t dot_bytes(const std::vector<int>& a, const std::vector<int>& b, bool b_signed,
                       std::int32_t c = 0) {
  EmulatedTiles tiles(config_of(1));
  std::uint8_t a_row[64] = {};
  std::uint8_t b_rows[16][64] = {};
  std::int32_t c_row[16];
  for (std::int32_t& value : c_row) value = c;
  for (std::size_t k = 0; k < a.size(); ++k) {
    a_row[k] = static_cast<std::uint8_t>(a[k]);
    for (std::size_t n = 0; n < 16; ++n) {
      b_rows[k / 4][4 * n + k % 4] = static_cast<std::uint8_t>(b[k]);
    }
  }
  tiles.load<0>(c_row, 64);
  tiles.load<1>(a_row, 64);
  tiles.load<2>(b_rows, 64);
  if (b_signed) {
    tiles.dot_signed<0, 1, 2>();
  } else {
    tiles.dot_unsigned<0, 1, 2>();
  }
  tiles.store<0>(c_row, 64);
  for (const std::int32_t value : c_row) EXPECT_EQ(value, c_row[0]);
  return c_row[7];
}

TEST(AmxEmulator, BytesHaveSignsOrNot) {
  EXPECT_EQ(dot_bytes({-128, 127, -1, 3, 5}, {-128, -128, 127, 1, -1}, true),
            128 * 128 - 127 * 128 - 127 + 3 - 5);
  EXPECT_EQ(dot_bytes({-128, 127, -1, 3, 5}, {255, 128, 127, 1, 254}, false),
            -128 * 255 + 127 * 128 - 127 + 3 + 5 * 254);
}

TEST(AmxEmulator, SumsOfBytesAreNotSaturated) {
  const std::vector<int> sixty_four(64, 127);
  EXPECT_EQ(dot_bytes(sixty_four, std::vector<int>(64, 255), false, 1), 64 * 127 * 255 + 1);
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(dot_bytes({1}, {1}, true, most), std::numeric_limits<std::int32_t>::min());
}

TEST(AmxEmulator, EachColumnTakesItsOwnQuads) {
  EmulatedTiles tiles(config_of(2, 3));
  std::uint8_t a[2][12];
  std::uint8_t b[3][64];
  for (int i = 0; i < 24; ++i) a[i / 12][i % 12] = static_cast<std::uint8_t>(i - 9);
  for (int i = 0; i < 192; ++i) b[i / 64][i % 64] = static_cast<std::uint8_t>(i + 64);
  std::int32_t c[2][16];
  tiles.zero<0>();
  tiles.load<1>(a, 12);
  tiles.load<2>(b, 64);
  tiles.dot_unsigned<0, 1, 2>();
  tiles.store<0>(c, 64);
  for (int m = 0; m < 2; ++m) {
    for (int n = 0; n < 16; ++n) {
      std::int32_t wanted = 0;
      for (int k = 0; k < 12; ++k) {
        wanted += static_cast<std::int8_t>(a[m][k]) * b[k / 4][4 * n + k % 4];
      }
      EXPECT_EQ(c[m][n], wanted) << m << " " << n;
    }
  }
}

TEST(AmxEmulator, WidensHalves) {
  std::uint16_t halves[32];
  float floats[32];
  for (int i = 0; i < 32; ++i) halves[i] = static_cast<std::uint16_t>(i * 1021);
  EmulatedTiles::widen(reinterpret_cast<const std::byte*>(halves), floats);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(floats[i], f16_to_f32(halves[i]));
}

TEST(AmxEmulatorDeathTest, AssertsWhereTheProcessorFaults) {
  EXPECT_DEATH(EmulatedTiles(config_of(17)), "");
  TileConfig no_palette = config_of(1);
  no_palette.palette = 0;
  EXPECT_DEATH(EmulatedTiles{no_palette}, "");
  // A has 8 pairs in a row, B 16 rows.
  TileConfig mismatched = config_of(4, 8);
  mismatched.rows[2] = 16;
  EXPECT_DEATH(EmulatedTiles(mismatched).dot_tiles(0, 1, 2), "");
  EXPECT_DEATH(EmulatedTiles(mismatched).dot_byte_tiles(0, 1, 2, true), "");
}

}  // namespace
}  // namespace trireme::amx
