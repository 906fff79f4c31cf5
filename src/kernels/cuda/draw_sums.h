// Sums of weights by a whole block, and where among bins or digits they pass a mark.
#pragma once

#include "kernels/cuda/draw_weights.h"

namespace trireme::cuda {

inline constexpr int draw_threads = 256;
inline constexpr int draw_warps = draw_threads / 32;

/// Sums in shared memory, in halves: adding to words of 32 bits is what it does by itself.
template <int Count>
struct SharedSums {
  std::uint32_t low[Count];
  std::uint32_t high[Count];

  __device__ void clear() {
    for (int i = threadIdx.x; i < Count; i += draw_threads) low[i] = high[i] = 0;
  }
  __device__ void add(int i, Weight weight) {
    const auto low_half = static_cast<std::uint32_t>(weight);
    const std::uint32_t before = atomicAdd(&low[i], low_half);
    const std::uint32_t carry = before + low_half < before ? 1 : 0;
    const std::uint32_t high_half = static_cast<std::uint32_t>(weight >> 32) + carry;
    if (high_half != 0) atomicAdd(&high[i], high_half);
  }
  __device__ Weight at(int i) const { return Weight{high[i]} << 32 | low[i]; }
};

/// Of a warp, in every lane.
__device__ inline Weight sum_of_warp(Weight sum) {
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  return sum;
}

/// Of the block, to everybody.
__device__ inline Weight sum_of_block(Weight sum) {
  __shared__ Weight sums[draw_warps];
  sum = sum_of_warp(sum);
  __syncthreads();  // whoever still reads the sums before
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < draw_warps; ++warp) sum += sums[warp];
  return sum;
}

/// The first of a list of numbers with which their sum exceeds a mark.
struct Passing {
  Weight before;  ///< the sum of those ahead of it
  int index;
};

/// Of `count` numbers, a multiple of draw_threads, to everybody; the last where the mark is not
/// exceeded. All threads call this after a barrier.
template <typename Numbers>
__device__ inline Passing pass(const Numbers& numbers, int count, Weight mark) {
  __shared__ Weight sums[draw_warps];
  __shared__ Passing found;
  const int each = count / draw_threads;
  const int first = static_cast<int>(threadIdx.x) * each;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;

  // Sums up to and including each thread's numbers.
  Weight own = 0;
  for (int i = 0; i < each; ++i) own += numbers.at(first + i);
  Weight through = own;
  for (int apart = 1; apart < 32; apart *= 2) {
    const Weight left = __shfl_up_sync(0xffffffffu, through, apart);
    if (lane >= apart) through += left;
  }
  if (lane == 31) sums[warp] = through;
  __syncthreads();
  for (int i = 0; i < warp; ++i) through += sums[i];

  // One thread's numbers pass the mark.
  const bool last = threadIdx.x == draw_threads - 1;
  if (through - own <= mark && (mark < through || last)) {
    Weight before = through - own;
    int index = first;
    while (index < first + each - 1 && before + numbers.at(index) <= mark) {
      before += numbers.at(index++);
    }
    found = {before, index};
  }
  __syncthreads();
  return found;
}

}  // namespace trireme::cuda
