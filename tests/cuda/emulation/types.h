// The keywords, the vector types and the sizes of launches.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// One block at a time runs in the whole process.
#define __shared__ static

#define TRIREME_EMULATED_VECTORS(T, name, align2, align4)               \
  struct name##1 {                                                      \
    T x;                                                                \
  };                                                                    \
  struct __align__(align2) name##2 {                                    \
    T x, y;                                                             \
  };                                                                    \
  struct name##3 {                                                      \
    T x, y, z;                                                          \
  };                                                                    \
  struct __align__(align4) name##4 {                                    \
    T x, y, z, w;                                                       \
  };                                                                    \
  constexpr name##1 make_##name##1(T x) { return {x}; }                 \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

TRIREME_EMULATED_VECTORS(signed char, char, 2, 4)
TRIREME_EMULATED_VECTORS(unsigned char, uchar, 2, 4)
TRIREME_EMULATED_VECTORS(short, short, 4, 8)
TRIREME_EMULATED_VECTORS(unsigned short, ushort, 4, 8)
TRIREME_EMULATED_VECTORS(int, int, 8, 16)
TRIREME_EMULATED_VECTORS(unsigned int, uint, 8, 16)
TRIREME_EMULATED_VECTORS(float, float, 8, 16)
TRIREME_EMULATED_VECTORS(double, double, 16, 16)
TRIREME_EMULATED_VECTORS(long long, longlong, 16, 16)
TRIREME_EMULATED_VECTORS(unsigned long long, ulonglong, 16, 16)
#undef TRIREME_EMULATED_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1,
                 unsigned z_size = 1)  // NOLINT: as CUDA's
      : x(x_size), y(y_size), z(z_size) {}
};
