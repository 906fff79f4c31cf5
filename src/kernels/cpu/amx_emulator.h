// The AMX tile instructions in plain C++, after the Intel SDM: the kernels run over it on machines
// without AMX, and the tests hold the hardware against it. What the processor would answer with #UD
// or #GP asserts here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/amx_product.h"
#include "kernels/cpu/amx_tiles.h"

namespace trireme::amx {

/// One thread's tile registers. The same members as HardwareTiles (amx_hardware.cc).
class EmulatedTiles {
 public:
  /// LDTILECFG. All tiles are zero.
  explicit EmulatedTiles(const TileConfig& config);

  /// TILELOADD: rows() rows of the configured bytes, `stride` bytes apart; the rest becomes zero.
  template <int T>
  void load(const void* base, std::int64_t stride) {
    load_tile(T, base, stride);
  }
  /// TILESTORED: writes the configured part and nothing else.
  template <int T>
  void store(void* base, std::int64_t stride) const {
    store_tile(T, base, stride);
  }
  /// TILEZERO.
  template <int T>
  void zero() {
    zero_tile(T);
  }
  /// TDPBF16PS: C[m][n] += sum over pairs k of A[m][2k..2k+1] * B[k][2n..2n+1].
  template <int C, int A, int B>
  void dot() {
    dot_tiles(C, A, B);
  }
  /// TDPBSSD: C[m][n] += sum over quads k of A[m][4k..4k+3] * B[k][4n..4n+3], bytes with a sign.
  template <int C, int A, int B>
  void dot_signed() {
    dot_byte_tiles(C, A, B, true);
  }
  /// TDPBSUD: the same, the bytes of B without a sign.
  template <int C, int A, int B>
  void dot_unsigned() {
    dot_byte_tiles(C, A, B, false);
  }

  /// 32 float16 to float32.
  static void widen(const std::byte* halves, float* out);

  static void prefetch_l1(const void*) {}
  static void prefetch_l2(const void*) {}

  // The same, the tile given as a number.
  void load_tile(int tile, const void* base, std::int64_t stride);
  void store_tile(int tile, void* base, std::int64_t stride) const;
  void zero_tile(int tile);
  void dot_tiles(int c, int a, int b);
  void dot_byte_tiles(int c, int a, int b, bool b_signed);

 private:
  struct alignas(64) Row {
    std::array<std::uint32_t, 16> words{};
  };
  using Tile = std::array<Row, 16>;

  const Tile& tile(int number) const { return tiles_[static_cast<std::size_t>(number)]; }
  Tile& tile(int number) { return tiles_[static_cast<std::size_t>(number)]; }
  void check_shapes(int c, int a, int b) const;

  TileConfig config_;
  std::array<Tile, tile_count> tiles_{};
};

}  // namespace trireme::amx
