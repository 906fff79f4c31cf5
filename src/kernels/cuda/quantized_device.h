// What the kernels of quantised products share: a lane's part of a block of codes (weights.h).
#pragma once

#include "kernels/cuda/device_code.h"
#include "kernels/cuda/weights.h"

namespace trireme::cuda {

/// One block of 32 rows and 32 k, as one lane has it: with group = lane / 4 and quad = lane % 4, k
/// 8 quad ... 8 quad + 7 of the rows group + 8 j, j = 0 ... 3.
template <DType Kind>
struct BlockCodes {
  static constexpr int parts = Kind == DType::i8 ? 2 : 1;
  static constexpr std::int64_t block_bytes = 512 * parts;
  /// Codes of four bits become bytes that are 16 times as large, and so do the sums.
  static constexpr int sum_shift = Kind == DType::i8 ? 0 : 4;

  uint4 part[parts];

  /// From the begin of the block: 16 bytes per lane and part, next to the neighbours'.
  __device__ void load_streaming(const std::byte* block, int lane) {
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      part[i] = __ldcs(reinterpret_cast<const uint4*>(block + i * 512 + lane * 16));
    }
  }
  __device__ void load_shared(const std::byte* block, int lane) {
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      part[i] = *reinterpret_cast<const uint4*>(block + i * 512 + lane * 16);
    }
  }

  /// Row group + 8 j: the first four k of the lane, and the last four.
  __device__ std::uint32_t first_four(int j) const {
    if constexpr (Kind == DType::i8) return j % 2 == 0 ? part[j / 2].x : part[j / 2].y;
    return word(j) << 4 & 0xf0f0f0f0u;
  }
  __device__ std::uint32_t last_four(int j) const {
    if constexpr (Kind == DType::i8) return j % 2 == 0 ? part[j / 2].z : part[j / 2].w;
    return word(j) & 0xf0f0f0f0u;
  }
  /// Operand a of mma_s8, rows 16 half ... 16 half + 15; x has its k in the same order.
  __device__ void operand(int half, std::uint32_t (&a)[4]) const {
    a[0] = first_four(2 * half);
    a[1] = first_four(2 * half + 1);
    a[2] = last_four(2 * half);
    a[3] = last_four(2 * half + 1);
  }

 private:
  __device__ std::uint32_t word(int j) const {
    return j == 0 ? part[0].x : j == 1 ? part[0].y : j == 2 ? part[0].z : part[0].w;
  }
};

/// What a group's sum of products adds to y.
__device__ inline float add_group(std::int32_t sum, float x_scale, float w_scale, float y) {
  return fmaf(static_cast<float>(sum), x_scale * w_scale, y);
}

}  // namespace trireme::cuda
