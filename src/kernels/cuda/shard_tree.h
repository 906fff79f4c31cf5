// The sum of one element's shards in the order of core/shard.h, where they lie in memory a stride
// apart.
#pragma once

#include "kernels/cuda/columns.h"

namespace trireme::cuda {

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

template <int Width>
__device__ inline Floats<Width> operator+(Floats<Width> a, const Floats<Width>& b) {
  for (int i = 0; i < Width; ++i) a.at[i] += b.at[i];
  return a;
}

/// The sum of 2^Level leaves from `leaf` on, whose loads are all under way together.
template <int Width, int Level>
__device__ inline Floats<Width> sum_of_subtree(const float* leaf, std::int64_t stride) {
  if constexpr (Level == 0) {
    return load<Width>(leaf);
  } else {
    return sum_of_subtree<Width, Level - 1>(leaf, stride) +
           sum_of_subtree<Width, Level - 1>(leaf + (stride << (Level - 1)), stride);
  }
}

/// The sum of `count` leaves: of the whole subtrees that count's binary digits name, the widest
/// first, added from the right.
template <int Width>
__device__ inline Floats<Width> sum_of_tree(const float* leaves, std::int64_t stride, int count) {
  constexpr int levels = 4;  // the subtrees of 8 that lie before the narrower ones are added below
  const int eights = count >> (levels - 1);
  const float* end = leaves + count * stride;
  Floats<Width> sum{};
  bool any = false;
  const auto join = [&](const Floats<Width>& left) {
    sum = any ? left + sum : left;
    any = true;
  };
  if (count & 1) join(sum_of_subtree<Width, 0>(end -= stride, stride));
  if (count & 2) join(sum_of_subtree<Width, 1>(end -= 2 * stride, stride));
  if (count & 4) join(sum_of_subtree<Width, 2>(end -= 4 * stride, stride));
  if (eights == 0) return sum;

  // A binary counter of eights: kept[l] waits for its right neighbour of 2^l eights.
  Floats<Width> kept[levels];
  for (int i = 0; i < eights; ++i) {
    Floats<Width> carry = sum_of_subtree<Width, 3>(leaves + 8 * i * stride, stride);
    bool carrying = true;
#pragma unroll
    for (int level = 0; level < levels; ++level) {
      if (!carrying) continue;
      carrying = i >> level & 1;
      if (carrying) {
        carry = kept[level] + carry;
      } else {
        kept[level] = carry;
      }
    }
  }
#pragma unroll
  for (int level = 0; level < levels; ++level) {
    if (eights >> level & 1) join(kept[level]);
  }
  return sum;
}

#endif

}  // namespace trireme::cuda
