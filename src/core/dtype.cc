#include "core/dtype.h"

#include <array>
#include <cstring>

#include "core/error.h"

namespace trireme {

namespace {

struct Entry {
  DType dtype;
  std::size_t size;
  std::string_view name;
};

constexpr std::array<Entry, 15> entries = {{{DType::f32, 4, "float32"},
                                            {DType::f16, 2, "float16"},
                                            {DType::bf16, 2, "bfloat16"},
                                            {DType::f64, 8, "float64"},
                                            {DType::i8, 1, "int8"},
                                            {DType::u8, 1, "uint8"},
                                            {DType::i16, 2, "int16"},
                                            {DType::u16, 2, "uint16"},
                                            {DType::i32, 4, "int32"},
                                            {DType::u32, 4, "uint32"},
                                            {DType::i64, 8, "int64"},
                                            {DType::u64, 8, "uint64"},
                                            {DType::boolean, 1, "bool"},
                                            {DType::i4, 0, "int4"},
                                            {DType::u4, 0, "uint4"}}};

template <typename T>
T load(const std::byte* source, std::size_t index) {
  T value;
  std::memcpy(&value, source + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::size_t size_of(DType dtype) { return entries[static_cast<std::size_t>(dtype)].size; }

std::string_view name_of(DType dtype) { return entries[static_cast<std::size_t>(dtype)].name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  if (name == "half") return DType::f16;
  if (name == "float") return DType::f32;
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry.dtype;
  }
  return std::nullopt;
}

// Both compute every case and choose at the end: loops over them become vectors.

float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits & 0x7c00u;
  const std::int32_t mantissa = bits & 0x3ff;
  const std::uint32_t shifted = static_cast<std::uint32_t>(bits & 0x7fffu) << 13;
  // Zero and subnormals: mantissa * 2^-24 is exact in float32.
  const auto subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24f);
  const std::uint32_t finite = exponent == 0 ? subnormal : shifted + (112u << 23);
  return std::bit_cast<float>(sign | (exponent == 0x7c00u ? shifted | 0x7f800000u : finite));
}

std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Subnormal in f16: adding 0.5 leaves the value, rounded to a multiple of 2^-24, in the low
  // mantissa bits.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  std::uint32_t result = (rounded - 0x38000000u) >> 13;
  result = magnitude < 0x38800000u ? subnormal : result;
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;
  result = magnitude > 0x7f800000u ? 0x7e00u : result;
  return static_cast<std::uint16_t>(sign | result);
}

void convert_to_f32(const std::byte* source, DType dtype, float* target, std::size_t count) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(target, source, count * sizeof(float));
      return;
    case DType::bf16:
      for (std::size_t i = 0; i < count; ++i)
        target[i] = bf16_to_f32(load<std::uint16_t>(source, i));
      return;
    case DType::f16:
      for (std::size_t i = 0; i < count; ++i)
        target[i] = f16_to_f32(load<std::uint16_t>(source, i));
      return;
    case DType::f64:
      for (std::size_t i = 0; i < count; ++i)
        target[i] = static_cast<float>(load<double>(source, i));
      return;
    default:
      fail(ErrorKind::input, "cannot read {} values as floating point", name_of(dtype));
  }
}

}  // namespace trireme
