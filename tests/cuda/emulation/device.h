// What a kernel may call: where a thread stands, barriers, collectives of a warp, atomics, bits.
#pragma once

#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "emulation/types.h"

namespace trireme::cuda::emulation {

/// The running block, and in it the running thread.
struct Place {
  uint3 block{};
  dim3 block_size;
  dim3 grid_size;
};
extern Place place;
extern const uint3* thread_index;

/// All threads of the block meet, each with a value; every one gets what `kind` makes of them.
enum class Barrier : int { plain, any, all, count };
int barrier(Barrier kind, int value);

/// All lanes of the warp meet. Each brings 64 bits and gets those of lane `source`.
enum class Collective : int { sync, shuffle, ballot, mma_bf16, mma_f16, mma_s8 };
std::uint64_t shuffle(unsigned mask, std::uint64_t bits, int source, const char* name);
void sync_warp(unsigned mask);
unsigned ballot(unsigned mask, bool value);
int lane();

template <typename T>
T shuffle_value(unsigned mask, T value, int source, const char* name) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, bits, source, name);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace trireme::cuda::emulation

#define threadIdx (*::trireme::cuda::emulation::thread_index)
#define blockIdx (std::as_const(::trireme::cuda::emulation::place.block))
#define blockDim (std::as_const(::trireme::cuda::emulation::place.block_size))
#define gridDim (std::as_const(::trireme::cuda::emulation::place.grid_size))
inline constexpr int warpSize = 32;

inline void __syncthreads() {
  trireme::cuda::emulation::barrier(trireme::cuda::emulation::Barrier::plain, 0);
}
inline int __syncthreads_or(int value) {
  return trireme::cuda::emulation::barrier(trireme::cuda::emulation::Barrier::any, value);
}
inline int __syncthreads_and(int value) {
  return trireme::cuda::emulation::barrier(trireme::cuda::emulation::Barrier::all, value);
}
inline int __syncthreads_count(int value) {
  return trireme::cuda::emulation::barrier(trireme::cuda::emulation::Barrier::count, value);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

inline void __syncwarp(unsigned mask = 0xffffffffu) { trireme::cuda::emulation::sync_warp(mask); }
inline unsigned __ballot_sync(unsigned mask, int value) {
  return trireme::cuda::emulation::ballot(mask, value != 0);
}
inline int __any_sync(unsigned mask, int value) { return __ballot_sync(mask, value) != 0; }
inline int __all_sync(unsigned mask, int value) {
  return __ballot_sync(mask, value) == 0xffffffffu;
}

// A lane whose source lies outside its segment of `width` lanes keeps its own value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int begin = trireme::cuda::emulation::lane() & -width;
  return trireme::cuda::emulation::shuffle_value(mask, value, begin + (source & (width - 1)),
                                                 "__shfl_sync");
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const int self = trireme::cuda::emulation::lane();
  const int source = self ^ lanes;
  const bool inside = source < (self & -width) + width;
  return trireme::cuda::emulation::shuffle_value(mask, value, inside ? source : self,
                                                 "__shfl_xor_sync");
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int self = trireme::cuda::emulation::lane();
  const int source = self + static_cast<int>(delta);
  const bool inside = source < (self & -width) + width;
  return trireme::cuda::emulation::shuffle_value(mask, value, inside ? source : self,
                                                 "__shfl_down_sync");
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int self = trireme::cuda::emulation::lane();
  const int source = self - static_cast<int>(delta);
  const bool inside = source >= (self & -width);
  return trireme::cuda::emulation::shuffle_value(mask, value, inside ? source : self,
                                                 "__shfl_up_sync");
}

// Fibers give way at barriers only, so plain code is atomic.
template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = static_cast<T>(old + value);
  return old;
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  if (value > old) *address = value;
  return old;
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  if (value < old) *address = value;
  return old;
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = old | value;
  return old;
}
template <typename T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = old & value;
  return old;
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = value;
  return old;
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  const T old = *address;
  if (old == expected) *address = value;
  return old;
}

template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
void __stcs(T* address, std::type_identity_t<T> value) {
  *address = value;
}

inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline long long __double_as_longlong(double value) { return std::bit_cast<long long>(value); }
inline double __longlong_as_double(long long bits) { return std::bit_cast<double>(bits); }

inline int __clz(int value) { return std::countl_zero(static_cast<unsigned>(value)); }
inline int __clzll(long long value) {
  return std::countl_zero(static_cast<unsigned long long>(value));
}
inline int __popc(unsigned value) { return std::popcount(value); }
inline int __popcll(unsigned long long value) { return std::popcount(value); }
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}
inline int __ffsll(long long value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(value)) + 1;
}
inline unsigned __brev(unsigned value) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (value >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using wide = unsigned __int128;
  return static_cast<unsigned long long>(static_cast<wide>(a) * b >> 64);
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned from = selector >> (4 * i) & 0xfu;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (from & 7u))) & 0xffu;
    if ((from & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xffu : 0u;
    result |= byte << (8 * i);
  }
  return result;
}

/// Four products of bytes, added to `sum`.
inline int __dp4a(int a, int b, int sum) {
  auto total = static_cast<unsigned>(sum);
  for (int i = 0; i < 4; ++i) {
    total += static_cast<unsigned>(static_cast<std::int8_t>(a >> (8 * i)) *
                                   static_cast<std::int8_t>(b >> (8 * i)));
  }
  return static_cast<int>(total);
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
  for (int i = 0; i < 4; ++i) sum += (a >> (8 * i) & 0xffu) * (b >> (8 * i) & 0xffu);
  return sum;
}

inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
// Casts beyond a type's range are undefined in C++; a GPU's saturate, and NaN becomes 0.
int __float2int_rn(float value);
int __float2int_rz(float value);
unsigned long long __double2ull_rn(double value);

// Of equal types only, where CUDA has more.
template <typename T>
requires std::is_arithmetic_v<T>
constexpr T min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a != a ? b : b != b ? a : b < a ? b : a;
  return b < a ? b : a;
}
template <typename T>
requires std::is_arithmetic_v<T>
constexpr T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a != a ? b : b != b ? a : a < b ? b : a;
  return a < b ? b : a;
}
