#include "kernels/cpu/amx_emulator.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "core/dtype.h"
#include "core/error.h"
#include "kernels/flushing.h"

namespace trireme::amx {

namespace {

inline float low_half(std::uint32_t pair) { return flush_input(std::bit_cast<float>(pair << 16)); }

inline float high_half(std::uint32_t pair) {
  return flush_input(std::bit_cast<float>(pair & 0xffff0000u));
}

/// acc[n] = a * b[n] + acc[n]. `a`, `b` and `acc` hold no denormals.
inline void multiply_add(float a, const float* b, float* acc) {
  for (int n = 0; n < 16; ++n) {
    acc[n] = round_flushing(static_cast<double>(a) * static_cast<double>(b[n]) +
                            static_cast<double>(acc[n]));
  }
}

bool is_zero(const std::uint8_t* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

}  // namespace

EmulatedTiles::EmulatedTiles(const TileConfig& config) : config_(config) {
  TRIREME_ASSERT(config.palette == 1 && config.start_row == 0);
  TRIREME_ASSERT(is_zero(config.reserved, sizeof(config.reserved)));
  for (int tile = 0; tile < 16; ++tile) {
    TRIREME_ASSERT(config.rows[tile] <= 16 && config.row_bytes[tile] <= 64);
    TRIREME_ASSERT((config.rows[tile] == 0) == (config.row_bytes[tile] == 0));
    TRIREME_ASSERT(tile < tile_count || config.rows[tile] == 0);
  }
}

void EmulatedTiles::load_tile(int number, const void* base, std::int64_t stride) {
  zero_tile(number);
  Row* row = tile(number).data();
  for (std::int64_t i = 0; i < config_.rows[number]; ++i) {
    std::memcpy(row[i].words.data(), static_cast<const std::byte*>(base) + i * stride,
                config_.row_bytes[number]);
  }
}

void EmulatedTiles::store_tile(int number, void* base, std::int64_t stride) const {
  TRIREME_ASSERT(config_.rows[number] != 0);
  const Row* row = tile(number).data();
  for (std::int64_t i = 0; i < config_.rows[number]; ++i) {
    std::memcpy(static_cast<std::byte*>(base) + i * stride, row[i].words.data(),
                config_.row_bytes[number]);
  }
}

void EmulatedTiles::zero_tile(int number) {
  TRIREME_ASSERT(config_.rows[number] != 0);
  tile(number) = {};
}

/// What every product of tiles asks for, else #UD.
void EmulatedTiles::check_shapes(int c, int a, int b) const {
  TRIREME_ASSERT(c != a && c != b && a != b);
  TRIREME_ASSERT(config_.rows[c] != 0 && config_.rows[c] == config_.rows[a]);
  TRIREME_ASSERT(config_.row_bytes[c] == config_.row_bytes[b]);
  TRIREME_ASSERT(config_.row_bytes[a] == 4 * config_.rows[b]);
  TRIREME_ASSERT(config_.row_bytes[c] % 4 == 0);
}

void EmulatedTiles::dot_tiles(int c, int a, int b) {
  check_shapes(c, a, b);
  const auto pairs = static_cast<std::size_t>(config_.rows[b]);

  // B as floats, once for all the rows. Columns beyond the configured ones are zero and stay so.
  alignas(64) float low[16][16];
  alignas(64) float high[16][16];
  for (std::size_t k = 0; k < pairs; ++k) {
    for (std::size_t n = 0; n < 16; ++n) {
      const std::uint32_t pair = tile(b)[k].words[n];
      low[k][n] = low_half(pair);
      high[k][n] = high_half(pair);
    }
  }
  // The first and the second elements of the pairs are two chains; they meet, then the accumulator.
  for (std::size_t m = 0; m < config_.rows[c]; ++m) {
    alignas(64) float even[16] = {};
    alignas(64) float odd[16] = {};
    for (std::size_t k = 0; k < pairs; ++k) {
      const std::uint32_t pair = tile(a)[m].words[k];
      multiply_add(low_half(pair), low[k], even);
      multiply_add(high_half(pair), high[k], odd);
    }
    Row& row = tile(c)[m];
    for (std::size_t n = 0; n < 16; ++n) {
      const float sum = add_flushing(even[n], odd[n]);
      row.words[n] =
          std::bit_cast<std::uint32_t>(add_flushing(std::bit_cast<float>(row.words[n]), sum));
    }
  }
}

void EmulatedTiles::dot_byte_tiles(int c, int a, int b, bool b_signed) {
  check_shapes(c, a, b);
  const auto quads = static_cast<std::size_t>(config_.rows[b]);

  // B as integers, once for all the rows. Columns beyond the configured ones are zero and stay so.
  alignas(64) std::int32_t factors[16][4][16];
  for (std::size_t k = 0; k < quads; ++k) {
    for (std::size_t n = 0; n < 16; ++n) {
      for (std::size_t i = 0; i < 4; ++i) {
        const auto byte = static_cast<std::uint8_t>(tile(b)[k].words[n] >> (8 * i));
        factors[k][i][n] = b_signed ? static_cast<std::int8_t>(byte) : byte;
      }
    }
  }
  // Sums wrap around, so their order does not matter.
  for (std::size_t m = 0; m < config_.rows[c]; ++m) {
    Row& row = tile(c)[m];
    for (std::size_t k = 0; k < quads; ++k) {
      for (std::size_t i = 0; i < 4; ++i) {
        const auto factor = static_cast<std::int8_t>(tile(a)[m].words[k] >> (8 * i));
        for (std::size_t n = 0; n < 16; ++n) {
          row.words[n] += static_cast<std::uint32_t>(factor * factors[k][i][n]);
        }
      }
    }
  }
}

void EmulatedTiles::widen(const std::byte* halves, float* out) {
  for (std::int64_t i = 0; i < panel_columns; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, halves + i * 2, sizeof(bits));
    out[i] = f16_to_f32(bits);
  }
}

}  // namespace trireme::amx
