// The elements of a cache or a matrix as kernels store them: float32 as it is, f16 and bf16 as
// their bits.
#pragma once

#include "core/dtype.h"
#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

template <DType dtype>
struct Element;

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

template <>
struct Element<DType::f32> {
  using Stored = float;
  static __device__ float decode(float stored) { return stored; }
  static __device__ float encode(float value) { return value; }
};

template <>
struct Element<DType::f16> {
  using Stored = std::uint16_t;
  static __device__ float decode(std::uint16_t stored) { return f16_bits_to_float(stored); }
  static __device__ std::uint16_t encode(float value) { return float_to_f16_bits(value); }
};

template <>
struct Element<DType::bf16> {
  using Stored = std::uint16_t;
  static __device__ float decode(std::uint16_t stored) {
    return __uint_as_float(static_cast<std::uint32_t>(stored) << 16);
  }
  /// f32_to_bf16 of core/dtype.h.
  static __device__ std::uint16_t encode(float value) {
    const std::uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
};

#endif

}  // namespace trireme::cuda
