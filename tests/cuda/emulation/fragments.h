// What device_code.h offers to fill the registers of tensor core products, emulated: matrices read
// from shared memory by a warp, and pairs of rounded numbers.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dtype.h"
#include "emulation/cuda.h"

namespace trireme::cuda {

namespace emulation {

/// The rows that the lanes of each warp of the running block have named. They meet before and after
/// anybody reads them.
inline thread_local const void* matrix_rows[32][32];

struct MatrixRows {
  unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  unsigned lane = thread % 32;

  explicit MatrixRows(const void* row) {
    matrix_rows[thread / 32][lane] = row;
    __syncwarp();
  }
  ~MatrixRows() { __syncwarp(); }

  /// Of row `row`, all four matrices' rows being numbered through.
  std::uint32_t element(unsigned row, unsigned column) const {
    std::uint16_t value = 0;
    std::memcpy(&value, static_cast<const std::uint16_t*>(matrix_rows[thread / 32][row]) + column,
                sizeof(value));
    return value;
  }
};

}  // namespace emulation

inline void load_matrices(std::uint32_t (&d)[4], const void* row) {
  const emulation::MatrixRows rows(row);
  for (unsigned m = 0; m < 4; ++m) {
    const unsigned from = 8 * m + rows.lane / 4;
    const unsigned column = 2 * (rows.lane % 4);
    d[m] = rows.element(from, column) | rows.element(from, column + 1) << 16;
  }
}

inline void load_matrices_transposed(std::uint32_t (&d)[4], const void* row) {
  const emulation::MatrixRows rows(row);
  for (unsigned m = 0; m < 4; ++m) {
    const unsigned from = 8 * m + 2 * (rows.lane % 4);
    const unsigned column = rows.lane / 4;
    d[m] = rows.element(from, column) | rows.element(from + 1, column) << 16;
  }
}

inline std::uint32_t pack_bf16(float low, float high) {
  return f32_to_bf16(low) | static_cast<std::uint32_t>(f32_to_bf16(high)) << 16;
}

inline std::uint32_t pack_f16(float low, float high) {
  return f32_to_f16(low) | static_cast<std::uint32_t>(f32_to_f16(high)) << 16;
}

}  // namespace trireme::cuda
