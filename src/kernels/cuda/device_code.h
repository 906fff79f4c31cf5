// What kernels are written with: CUDA itself or, where TRIREME_CUDA_EMULATED is defined, the
// emulation of tests/cuda, in which the same text is plain C++ and a block's threads are fibers. So
// kernels keep to what both have: the names below, __shared__ arrays of fixed size, warps that
// stay together (every lane of a warp takes part in each shuffle, ballot and tensor core product),
// no cooperative groups, no <<<>>>.
//
// Arithmetic: nothing is contracted (-fmad=false) and nothing is flushed but where it is said, so
// fmaf, +, *, / and sqrtf round as they do on the host.
#pragma once

#ifdef TRIREME_CUDA_EMULATED
#include <emulation/cuda.h>
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace trireme::cuda {

#ifdef __CUDACC__

/// Runs `kernel` on `stream`, with `shared_bytes` of dynamic_shared() memory: above 48 KB it must
/// have been allowed with cudaFuncSetAttribute. Check with check_launch().
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  // clang-format off
  kernel<<<grid, block, shared_bytes, stream>>>(std::forward<Arguments>(arguments)...);
  // clang-format on
}

/// This block's dynamic shared memory.
template <typename T>
__device__ inline T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char trireme_dynamic_shared[];
  return reinterpret_cast<T*>(trireme_dynamic_shared);
}

// Conversions round to nearest, ties to even. f16 and bf16 travel as their bits.
__device__ inline float f16_bits_to_float(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__device__ inline std::uint16_t float_to_f16_bits(float value) {
  return __half_as_ushort(__float2half_rn(value));
}

// Tensor cores (compute capability 8.0). A warp multiplies a [16, 16] by b [16, 8] and adds to
// d [16, 8], float32. With group = lane / 4 and quad = lane % 4, registers hold, lower half first:
//   a[0]: row group,     k 2 quad, 2 quad + 1        a[1]: row group + 8, the same k
//   a[2]: row group,     k 2 quad + 8, 2 quad + 9    a[3]: row group + 8, the same k
//   b[0]: column group,  k 2 quad, 2 quad + 1        b[1]: column group, k 2 quad + 8, 2 quad + 9
//   d[0], d[1]: row group, columns 2 quad, 2 quad + 1;  d[2], d[3]: row group + 8
__device__ inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
__device__ inline void mma_f16(float (&d)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
/// The same of bytes: a [16, 32], b [32, 8], d int32; a register holds four k, 4 quad ... 4 quad +
/// 3 (and with + 16 where the above has + 8).
__device__ inline void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                              const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Reads four matrices of 8 x 8 elements of 16 bits from shared memory as tensor cores want them:
/// `row` of lane i is row i % 8 of matrix i / 8, eight elements aligned to 16 bytes. d[m] of a lane
/// becomes columns 2 quad, 2 quad + 1 of row `group` of matrix m.
__device__ inline void load_matrices(std::uint32_t (&d)[4], const void* row) {
  const auto from = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(from)
               : "memory");
}
/// The same, transposed: d[m] becomes rows 2 quad, 2 quad + 1 of column `group` of matrix m.
__device__ inline void load_matrices_transposed(std::uint32_t (&d)[4], const void* row) {
  const auto from = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(from)
               : "memory");
}

/// Two numbers, rounded to bfloat16 (compute capability 8.0), as a register of a fragment holds
/// them.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t pair = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
#endif
  return pair;
}
/// The same in float16.
__device__ inline std::uint32_t pack_f16(float low, float high) {
  std::uint32_t pair = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
#endif
  return pair;
}

/// Copies 16 bytes from global to shared memory beside the computation, or zeros where not `valid`
/// (then `from` is not read, but must be some aligned pointer). Both are aligned to 16 bytes.
__device__ inline void copy_async_16(void* to_shared, const void* from_global, bool valid = true) {
#if __CUDA_ARCH__ >= 800
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from_global),
               "r"(valid ? 16 : 0)
               : "memory");
#else
  *static_cast<uint4*>(to_shared) =
      valid ? *static_cast<const uint4*>(from_global) : make_uint4(0, 0, 0, 0);
#endif
}
/// Ends a group of this thread's copies.
__device__ inline void copy_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until at most `Pending` of this thread's latest groups are still under way. Others see
/// what has arrived after a barrier.
template <int Pending>
__device__ inline void copy_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

/// 2^x, to about 2 ulp; the same bits on every GPU of one kind.
__device__ inline float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#endif  // __CUDACC__

}  // namespace trireme::cuda
#endif
