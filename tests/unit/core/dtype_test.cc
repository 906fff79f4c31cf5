// Conversions between floating dtypes are exact where they can be, and round to nearest even else.
#include "core/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace trireme {
namespace {

TEST(DType, NamesAreThoseOfConfigFiles) {
  EXPECT_EQ(dtype_from_name("bfloat16"), DType::bf16);
  EXPECT_EQ(dtype_from_name("torch.float16"), DType::f16);
  EXPECT_EQ(dtype_from_name("float32"), DType::f32);
  EXPECT_FALSE(dtype_from_name("complex64"));
  EXPECT_EQ(name_of(DType::bf16), "bfloat16");
  EXPECT_EQ(size_of(DType::f16), 2u);
}

TEST(DType, EveryF16SurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = f16_to_f32(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(wide))));
    } else {
      ASSERT_EQ(f32_to_f16(wide), half) << bits;
    }
  }
}

TEST(DType, EveryBf16SurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    const float wide = bf16_to_f32(narrow);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(wide))));
    } else {
      ASSERT_EQ(f32_to_bf16(wide), narrow) << bits;
    }
  }
}

TEST(DType, RoundsToNearestTiesToEven) {
  // Between neighbours a < b of the narrow type the midpoint goes to the even one.
  for (std::uint16_t bits = 0x0001; bits < 0x7bff; bits = static_cast<std::uint16_t>(bits + 97)) {
    const float a = f16_to_f32(bits);
    const float b = f16_to_f32(static_cast<std::uint16_t>(bits + 1));
    const float middle = a + (b - a) / 2;  // exact: float32 has room
    const std::uint16_t even = bits % 2 == 0 ? bits : static_cast<std::uint16_t>(bits + 1);
    EXPECT_EQ(f32_to_f16(middle), even);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, b * 2)), bits + 1);
  }
}

TEST(DType, OverflowGoesToInfinity) {
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e10f), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace trireme
