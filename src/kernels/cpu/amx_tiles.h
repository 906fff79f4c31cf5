// The tile registers' configuration, in the form that LDTILECFG reads.
#pragma once

#include <cstdint>

namespace trireme::amx {

/// Intel SDM vol. 1, 18.3: palette 1 has eight tiles of at most 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};  ///< "colsb"
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// The registers of the kernels: 0 to 3 accumulate, 4 and 5 hold activations, 6 and 7 weights.
inline constexpr int first_a_tile = 4;
inline constexpr int first_b_tile = 6;
inline constexpr int tile_count = 8;

}  // namespace trireme::amx
