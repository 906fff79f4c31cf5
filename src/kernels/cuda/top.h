// The better of two logits of a row, as the reference's argmax chooses: whatever the order in which
// pairs are compared, the best of a set is the same.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

/// An index beyond every real one: the candidate that loses to all others.
__device__ inline Top no_top() { return {__uint_as_float(0x7fc00000u), 0x7fffffff}; }

__device__ inline bool better(const Top& a, const Top& b) {
  const bool a_is_nan = a.value != a.value;
  const bool b_is_nan = b.value != b.value;
  if (a_is_nan != b_is_nan) return b_is_nan;
  if (!a_is_nan && a.value != b.value) return a.value > b.value;
  return a.index < b.index;
}

/// The best of a warp, in every lane.
__device__ inline Top best_of_warp(Top top) {
  for (int apart = 16; apart > 0; apart /= 2) {
    const Top other{__shfl_xor_sync(0xffffffffu, top.value, apart),
                    __shfl_xor_sync(0xffffffffu, top.index, apart)};
    if (better(other, top)) top = other;
  }
  return top;
}

/// The best of a block of `Warps` warps, in every lane of the first.
template <int Warps>
__device__ inline Top best_of_block(Top top) {
  __shared__ float values[Warps];
  __shared__ std::int32_t indices[Warps];
  top = best_of_warp(top);
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = top.value;
    indices[threadIdx.x / 32] = top.index;
  }
  __syncthreads();
  if (threadIdx.x >= 32) return top;
  return best_of_warp({values[threadIdx.x % Warps], indices[threadIdx.x % Warps]});
}

}  // namespace trireme::cuda
