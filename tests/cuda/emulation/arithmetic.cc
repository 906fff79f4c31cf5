// Tensor cores and the other arithmetic that C++ has no word for.
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "emulation/internal.h"

namespace trireme::cuda::emulation {

namespace {

constexpr int lanes = 32;
using Operands = std::span<const MatrixOperands, lanes>;

/// The order in which products are added: fixed, and not ascending, so that results depend on
/// which k share a product, as on a GPU.
constexpr int order_of_k[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};

struct Tile {
  float a[16][16];  ///< [row][k]
  float b[16][8];   ///< [k][column]
  float d[16][8];
};

template <typename Decode>
void gather(Operands operands, Tile& tile, const Decode& decode) {
  for (int l = 0; l < lanes; ++l) {
    const int group = l / 4;
    const int quad = l % 4;
    const MatrixOperands& its = operands[l];
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < 4; ++r) {
        tile.a[group + r % 2 * 8][2 * quad + half + r / 2 * 8] =
            decode(static_cast<std::uint16_t>(its.a[r] >> (16 * half)));
      }
      for (int r = 0; r < 2; ++r) {
        tile.b[2 * quad + half + r * 8][group] =
            decode(static_cast<std::uint16_t>(its.b[r] >> (16 * half)));
      }
    }
    const auto* d = static_cast<const float*>(its.d);
    for (int r = 0; r < 4; ++r) tile.d[group + r / 2 * 8][2 * quad + r % 2] = d[r];
  }
}

void multiply_floats(Operands operands, float (*decode)(std::uint16_t)) {
  Tile tile;
  gather(operands, tile, decode);
  for (int row = 0; row < 16; ++row) {
    for (const int k : order_of_k) {
      const float a = tile.a[row][k];
      for (int column = 0; column < 8; ++column) tile.d[row][column] += a * tile.b[k][column];
    }
  }
  for (int l = 0; l < lanes; ++l) {
    auto* d = static_cast<float*>(operands[l].d);
    for (int r = 0; r < 4; ++r) d[r] = tile.d[l / 4 + r / 2 * 8][2 * (l % 4) + r % 2];
  }
}

int byte_of(std::uint32_t word, int i) { return static_cast<std::int8_t>(word >> (8 * i)); }

void multiply_bytes(Operands operands) {
  int a[16][32];  // [row][k]
  int b[32][8];   // [k][column]
  for (int l = 0; l < lanes; ++l) {
    const int group = l / 4;
    const int k = 4 * (l % 4);
    const MatrixOperands& its = operands[l];
    for (int i = 0; i < 4; ++i) {
      for (int r = 0; r < 4; ++r) a[group + r % 2 * 8][k + i + r / 2 * 16] = byte_of(its.a[r], i);
      for (int r = 0; r < 2; ++r) b[k + i + r * 16][group] = byte_of(its.b[r], i);
    }
  }
  int sums[16][8] = {};
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 32; ++k) {
      for (int column = 0; column < 8; ++column) sums[row][column] += a[row][k] * b[k][column];
    }
  }
  for (int l = 0; l < lanes; ++l) {
    auto* d = static_cast<std::uint32_t*>(operands[l].d);  // wraps around, as the GPU's does
    for (int r = 0; r < 4; ++r) {
      d[r] += static_cast<std::uint32_t>(sums[l / 4 + r / 2 * 8][2 * (l % 4) + r % 2]);
    }
  }
}

}  // namespace

void multiply_tiles(Collective kind, Operands operands) {
  if (kind == Collective::mma_s8) return multiply_bytes(operands);
  multiply_floats(operands, kind == Collective::mma_bf16 ? &bf16_to_f32 : &f16_to_f32);
}

}  // namespace trireme::cuda::emulation

namespace trireme::cuda {

float fast_exp2(float x) {
  // Not the host's exp2f: what GPUs compute is its own function, with subnormals flushed.
  const float y = exp2f(std::fpclassify(x) == FP_SUBNORMAL ? 0.0f : x);
  return std::fpclassify(y) == FP_SUBNORMAL ? 0.0f : y;
}

}  // namespace trireme::cuda

int __float2int_rn(float value) {
  if (value != value) return 0;
  if (value >= 0x1p31f) return INT32_MAX;
  if (value < -0x1p31f) return INT32_MIN;
  return static_cast<int>(std::nearbyint(value));
}
int __float2int_rz(float value) {
  if (value != value) return 0;
  if (value >= 0x1p31f) return INT32_MAX;
  if (value < -0x1p31f) return INT32_MIN;
  return static_cast<int>(value);
}
unsigned long long __double2ull_rn(double value) {
  if (!(value > 0)) return value != value ? 1ull << 63 : 0;
  if (value >= 0x1p64) return UINT64_MAX;
  return static_cast<unsigned long long>(std::nearbyint(value));
}
