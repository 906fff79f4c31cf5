// Blocks as ggml lays them out (ggml-common.h) and the arithmetic of its dequantize_row_*: one
// float32 operation at a time, so that every value has ggml's own bits.
#include "weights/gguf_types.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace trireme {

namespace {

using Byte = std::uint8_t;

const Byte* bytes_at(const std::byte* source) { return reinterpret_cast<const Byte*>(source); }

float half_at(const Byte* source) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, source, sizeof(bits));
  return f16_to_f32(bits);
}

float signed_at(const Byte* source) {
  return static_cast<float>(static_cast<std::int8_t>(*source));
}

constexpr std::size_t small = 32;   // elements of a simple block
constexpr std::size_t super = 256;  // and of a K-quant's
constexpr std::size_t half = small / 2;

/// Runs one(block, values) for all blocks.
template <std::size_t bytes, std::size_t elements, typename One>
void each_block(const std::byte* source, std::size_t blocks, float* target, const One& one) {
  const Byte* block = bytes_at(source);
  for (; blocks > 0; --blocks, block += bytes, target += elements) one(block, target);
}

void dequantize_q8_0(const std::byte* source, std::size_t blocks, float* target) {
  each_block<34, small>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b);
    for (std::size_t i = 0; i < small; ++i) y[i] = signed_at(b + 2 + i) * d;
  });
}

/// The low halves of 16 bytes are elements 0 to 15, the high ones 16 to 31.
void dequantize_q4_0(const std::byte* source, std::size_t blocks, float* target) {
  each_block<18, small>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b);
    for (std::size_t i = 0; i < half; ++i) {
      y[i] = static_cast<float>((b[2 + i] & 15) - 8) * d;
      y[i + half] = static_cast<float>((b[2 + i] >> 4) - 8) * d;
    }
  });
}

void dequantize_q4_1(const std::byte* source, std::size_t blocks, float* target) {
  each_block<20, small>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b), m = half_at(b + 2);
    for (std::size_t i = 0; i < half; ++i) {
      y[i] = static_cast<float>(b[4 + i] & 15) * d + m;
      y[i + half] = static_cast<float>(b[4 + i] >> 4) * d + m;
    }
  });
}

/// Elements i and i + 16 of a Q5_0 or Q5_1 block: their fifth bits are bits i and i + 16 of `high`.
struct FiveBits {
  int low, high;
};
FiveBits five_bits(const Byte* high, const Byte* nibbles, std::size_t i) {
  std::uint32_t fifth = 0;
  std::memcpy(&fifth, high, sizeof(fifth));
  return {(nibbles[i] & 15) | static_cast<int>((fifth >> i & 1u) << 4),
          (nibbles[i] >> 4) | static_cast<int>((fifth >> (i + half) & 1u) << 4)};
}

void dequantize_q5_0(const std::byte* source, std::size_t blocks, float* target) {
  each_block<22, small>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b);
    for (std::size_t i = 0; i < half; ++i) {
      const FiveBits q = five_bits(b + 2, b + 6, i);
      y[i] = static_cast<float>(q.low - 16) * d;
      y[i + half] = static_cast<float>(q.high - 16) * d;
    }
  });
}

void dequantize_q5_1(const std::byte* source, std::size_t blocks, float* target) {
  each_block<24, small>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b), m = half_at(b + 2);
    for (std::size_t i = 0; i < half; ++i) {
      const FiveBits q = five_bits(b + 4, b + 8, i);
      y[i] = static_cast<float>(q.low) * d + m;
      y[i + half] = static_cast<float>(q.high) * d + m;
    }
  });
}

/// The sixteen values that IQ4_NL's and IQ4_XS's four bits choose from.
constexpr std::array<float, 16> iq4_values{-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

void iq4_small(const Byte* nibbles, float d, float* y) {
  for (std::size_t i = 0; i < half; ++i) {
    y[i] = d * iq4_values[nibbles[i] & 15];
    y[i + half] = d * iq4_values[nibbles[i] >> 4];
  }
}

void dequantize_iq4_nl(const std::byte* source, std::size_t blocks, float* target) {
  each_block<18, small>(source, blocks, target,
                        [](const Byte* b, float* y) { iq4_small(b + 2, half_at(b), y); });
}

/// d; the high two bits of eight scales; their low four; eight times 16 bytes.
void dequantize_iq4_xs(const std::byte* source, std::size_t blocks, float* target) {
  each_block<136, super>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b);
    const int high = b[2] | b[3] << 8;
    for (std::size_t i = 0; i < 8; ++i) {
      const int low = b[4 + i / 2] >> (4 * (i % 2)) & 15;
      const int scale = (low | (high >> (2 * i) & 3) << 4) - 32;
      iq4_small(b + 8 + half * i, d * static_cast<float>(scale), y + small * i);
    }
  });
}

// K-quants: 256 elements with scales of their own for each 16 or 32.

/// Sixteen scales and minima of four bits; 64 bytes of two-bit numbers; d and dmin.
void dequantize_q2_k(const std::byte* source, std::size_t blocks, float* target) {
  each_block<84, super>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b + 80), dmin = half_at(b + 82);
    for (std::size_t group = 0; group < 16; ++group) {
      const float scale = d * static_cast<float>(b[group] & 15);
      const float least = dmin * static_cast<float>(b[group] >> 4);
      const Byte* q = b + 16 + group / 8 * 32 + group % 2 * 16;
      const auto shift = static_cast<int>(group / 2 % 4 * 2);
      for (std::size_t i = 0; i < 16; ++i) {
        y[group * 16 + i] = scale * static_cast<float>(q[i] >> shift & 3) - least;
      }
    }
  });
}

/// 32 bytes of third bits; 64 of two low ones; sixteen scales of six bits; d.
void dequantize_q3_k(const std::byte* source, std::size_t blocks, float* target) {
  each_block<110, super>(source, blocks, target, [](const Byte* b, float* y) {
    const Byte* packed = b + 96;
    const float d = half_at(b + 108);
    for (std::size_t group = 0; group < 16; ++group) {
      const int low = packed[group % 8] >> (group / 8 * 4) & 15;
      const int high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      const Byte* q = b + 32 + group / 8 * 32 + group % 2 * 16;
      const Byte* third = b + group % 2 * 16;
      const auto shift = static_cast<int>(group / 2 % 4 * 2);
      const auto bit = static_cast<int>(group / 2);
      for (std::size_t i = 0; i < 16; ++i) {
        const int value = (q[i] >> shift & 3) - (~third[i] >> bit & 1) * 4;
        y[group * 16 + i] = scale * static_cast<float>(value);
      }
    }
  });
}

/// Scale and minimum of each 32 elements of a Q4_K or Q5_K block.
struct Scales {
  float scale[8], least[8];
};

/// Eight scales and eight minima of six bits in twelve bytes, as K-quants pack them.
Scales unpack_scales(const Byte* block) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const Byte* packed = block + 4;
  Scales out;
  for (std::size_t i = 0; i < 4; ++i) {
    const int low_scale = packed[i], low_least = packed[4 + i], rest = packed[8 + i];
    out.scale[i] = d * static_cast<float>(low_scale & 63);
    out.least[i] = dmin * static_cast<float>(low_least & 63);
    out.scale[i + 4] = d * static_cast<float>((rest & 15) | (low_scale >> 2 & 0x30));
    out.least[i + 4] = dmin * static_cast<float>((rest >> 4) | (low_least >> 2 & 0x30));
  }
  return out;
}

/// d, dmin, the scales; then four times 32 bytes, whose low halves are 32 elements and whose high
/// halves the next.
void dequantize_q4_k(const std::byte* source, std::size_t blocks, float* target) {
  each_block<144, super>(source, blocks, target, [](const Byte* b, float* y) {
    const Scales scales = unpack_scales(b);
    for (std::size_t group = 0; group < 8; ++group) {
      const Byte* q = b + 16 + group / 2 * small;
      const auto shift = static_cast<int>(group % 2 * 4);
      const float scale = scales.scale[group], least = scales.least[group];
      for (std::size_t i = 0; i < small; ++i) {
        y[group * small + i] = scale * static_cast<float>(q[i] >> shift & 15) - least;
      }
    }
  });
}

/// The same with 32 bytes of fifth bits before the halves.
void dequantize_q5_k(const std::byte* source, std::size_t blocks, float* target) {
  each_block<176, super>(source, blocks, target, [](const Byte* b, float* y) {
    const Scales scales = unpack_scales(b);
    const Byte* fifth = b + 16;
    for (std::size_t group = 0; group < 8; ++group) {
      const Byte* q = b + 48 + group / 2 * small;
      const auto shift = static_cast<int>(group % 2 * 4);
      const auto bit = static_cast<int>(group);
      const float scale = scales.scale[group], least = scales.least[group];
      for (std::size_t i = 0; i < small; ++i) {
        const int value = (q[i] >> shift & 15) | (fifth[i] >> bit & 1) << 4;
        y[group * small + i] = scale * static_cast<float>(value) - least;
      }
    }
  });
}

/// 128 bytes of four low bits; 64 of two high ones; a signed scale for each 16; d.
void dequantize_q6_k(const std::byte* source, std::size_t blocks, float* target) {
  each_block<210, super>(source, blocks, target, [](const Byte* b, float* y) {
    const float d = half_at(b + 208);
    for (std::size_t group = 0; group < 16; ++group) {
      const float scale = d * signed_at(b + 192 + group);
      const std::size_t side = group / 8, part = group % 8;  // 128 elements; 16 of them
      const Byte* low = b + side * 64 + part % 4 * 16;
      const Byte* high = b + 128 + side * 32 + part % 2 * 16;
      const auto low_shift = static_cast<int>(part / 4 * 4);
      const auto high_shift = static_cast<int>(part / 2 * 2);
      for (std::size_t i = 0; i < 16; ++i) {
        const int value = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
        y[group * 16 + i] = scale * static_cast<float>(value - 32);
      }
    }
  });
}

constexpr GgufType types[] = {
    {0, "F32", 1, 4, DType::f32},
    {1, "F16", 1, 2, DType::f16},
    {30, "BF16", 1, 2, DType::bf16},
    {28, "F64", 1, 8, DType::f64},
    {8, "Q8_0", small, 34, DType::f32, dequantize_q8_0},
    {2, "Q4_0", small, 18, DType::f32, dequantize_q4_0},
    {3, "Q4_1", small, 20, DType::f32, dequantize_q4_1},
    {6, "Q5_0", small, 22, DType::f32, dequantize_q5_0},
    {7, "Q5_1", small, 24, DType::f32, dequantize_q5_1},
    {10, "Q2_K", super, 84, DType::f32, dequantize_q2_k},
    {11, "Q3_K", super, 110, DType::f32, dequantize_q3_k},
    {12, "Q4_K", super, 144, DType::f32, dequantize_q4_k},
    {13, "Q5_K", super, 176, DType::f32, dequantize_q5_k},
    {14, "Q6_K", super, 210, DType::f32, dequantize_q6_k},
    {20, "IQ4_NL", small, 18, DType::f32, dequantize_iq4_nl},
    {23, "IQ4_XS", super, 136, DType::f32, dequantize_iq4_xs},
};

struct OtherType {
  std::uint32_t id;
  std::string_view name;
};
constexpr OtherType other_types[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},
    {29, "IQ1_M"}, {34, "TQ1_0"}, {35, "TQ2_0"},   {39, "MXFP4"},  {40, "NVFP4"},   {41, "Q1_0"}};

}  // namespace

const GgufType* gguf_type(std::uint32_t id) {
  const auto found = std::ranges::find(types, id, &GgufType::id);
  return found == std::ranges::end(types) ? nullptr : &*found;
}

std::string gguf_type_name(std::uint32_t id) {
  if (const GgufType* type = gguf_type(id)) return std::string(type->name);
  const auto found = std::ranges::find(other_types, id, &OtherType::id);
  if (found != std::ranges::end(other_types)) return std::string(found->name);
  return fmt::format("number {}", id);
}

std::string gguf_type_names() {
  std::vector<std::string_view> names;
  for (const GgufType& type : types) names.push_back(type.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace trireme
