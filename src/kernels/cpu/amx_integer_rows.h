// Activations for products of integers: rounded to eight bits group by group, as
// kernels/quantize.h says, in the order in which tiles take them.
//
// What this source must not use: amx_loops.h.
#pragma once

#include <cstring>

#include "kernels/cpu/amx_loops.h"

namespace trireme::amx {

template <class Tiles>
class IntegerRows : TileLoops<Tiles> {
 public:
  static void pack(const Product& p, std::int64_t tile, const KChunk& chunk) {
    const std::int64_t rows = p.blocking.tile_rows;
    std::byte* out = Loops::packed_tile(p, tile, chunk);
    for (std::int64_t row = 0; row < rows; ++row, out += row_bytes) {
      const std::int64_t source = tile * rows + row;
      if (source < p.m) {
        pack_row(p, source, chunk, out);
      } else {
        for (std::int64_t j = 0; j < chunk.steps; ++j) {
          std::memset(out + j * p.tile_bytes(), 0, row_bytes);
        }
      }
    }
  }

 private:
  using Loops = TileLoops<Tiles>;

  static void pack_row(const Product& p, std::int64_t row, const KChunk& chunk, std::byte* out) {
    const float* x = p.x + row * p.ldx + chunk.column;
    std::int64_t at = chunk.group * p.m + row;
    for (std::int64_t begin = 0; begin < chunk.columns; begin += p.group, at += p.m) {
      const std::int64_t columns = Loops::least(p.group, chunk.columns - begin);
      pack_group(x + begin, columns, out, p.tile_bytes(), p.x_scales[at], p.x_starts[at]);
      out += Loops::byte_steps_of(columns) * p.tile_bytes();
    }
  }

  /// One group of one row: whole steps, `stride` bytes apart, the last filled up with zeros.
  static void pack_group(const float* x, std::int64_t columns, std::byte* out, std::int64_t stride,
                         float& scale, float& start) {
    alignas(64) float padded[widest_group];
    const std::int64_t steps = Loops::byte_steps_of(columns);
    if (columns % byte_step_depth != 0) {
      std::memset(padded, 0, static_cast<std::size_t>(steps * byte_step_depth) * sizeof(float));
      std::memcpy(padded, x, static_cast<std::size_t>(columns) * sizeof(float));
      x = padded;
    }
    const std::uint32_t bits = largest_bits(x, steps);
    float largest = 0;
    std::memcpy(&largest, &bits, sizeof(largest));
    start = 0;
    if (bits >= 0x7f800000u || largest < 0x1p-100f) {
      scale = bits >= 0x7f800000u ? __builtin_nanf("") : 0.0f;
      for (std::int64_t j = 0; j < steps; ++j) std::memset(out + j * stride, 0, row_bytes);
      return;
    }
    scale = largest / 127.0f;
    constexpr std::int32_t zero = 128;  // of i8
    start = static_cast<float>(-zero * round_steps(x, steps, 127.0f / largest, out, stride));
  }

  /// Bits of a float, where it lies.
  using Bits [[gnu::may_alias]] = std::int32_t;

  /// The largest magnitude's bits; those of infinities and NaNs are the largest.
  static std::uint32_t largest_bits(const float* x, std::int64_t steps) {
    std::int32_t largest[byte_step_depth] = {};
    const auto* bits = reinterpret_cast<const Bits*>(x);
    for (std::int64_t j = 0; j < steps; ++j, bits += byte_step_depth) {
      for (std::int64_t i = 0; i < byte_step_depth; ++i) {
        const std::int32_t magnitude = bits[i] & 0x7fffffff;
        largest[i] = largest[i] < magnitude ? magnitude : largest[i];
      }
    }
    std::int32_t all = 0;
    for (const std::int32_t one : largest) all = all < one ? one : all;
    return static_cast<std::uint32_t>(all);
  }

  /// Returns the sum of the integers.
  static std::int32_t round_steps(const float* x, std::int64_t steps, float inverse, std::byte* out,
                                  std::int64_t stride) {
    constexpr float shift = 0x1.8p23f;  // adding it rounds to an integer, ties to even
    std::int32_t sums[byte_step_depth] = {};
    for (std::int64_t j = 0; j < steps; ++j, x += byte_step_depth, out += stride) {
      std::int8_t q[byte_step_depth];
      for (std::int64_t i = 0; i < byte_step_depth; ++i) {
        const auto value = static_cast<std::int32_t>((x[i] * inverse + shift) - shift);
        q[i] = static_cast<std::int8_t>(value);
        sums[i] += value;
      }
      std::memcpy(out, q, sizeof(q));
    }
    std::int32_t sum = 0;
    for (const std::int32_t one : sums) sum += one;
    return sum;
  }
};

}  // namespace trireme::amx
