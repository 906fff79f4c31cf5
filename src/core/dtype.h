// Element types of tensors, and exact conversions between the floating ones.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace trireme {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  boolean,
  i4,  ///< two to a byte, in packed weights only
  u4,  ///< the same, with a zero for each group
};

/// Bytes of one element. Not for i4 and u4.
std::size_t size_of(DType dtype);

/// "float32", "bfloat16", ...: the spelling of config.json and of --dtype.
std::string_view name_of(DType dtype);

/// Reads "float32", "torch.float32", "bfloat16", "float16", "half", ...; nothing if unknown.
std::optional<DType> dtype_from_name(std::string_view name);

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Round to nearest, ties to even. NaN stays NaN.
inline std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float f16_to_f32(std::uint16_t bits);

/// Round to nearest, ties to even; overflow goes to infinity.
std::uint16_t f32_to_f16(float value);

/// Converts `count` elements of a floating dtype (f32, f16, bf16, f64) to float32.
void convert_to_f32(const std::byte* source, DType dtype, float* target, std::size_t count);

}  // namespace trireme
