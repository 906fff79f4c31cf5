// What kernels/cuda/device_code.h documents: launches, dynamic shared memory, tensor cores and
// asynchronous copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/dtype.h"
#include "emulation/device.h"
#include "emulation/runtime.h"

namespace trireme::cuda {

namespace emulation {

struct Launch {
  const void* kernel = nullptr;
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  std::function<void()> thread;  ///< what each thread runs
};
/// Checks the launch as CUDA does (cudaGetLastError() tells) and puts it into the queue.
void enqueue(cudaStream_t stream, Launch launch);

/// Aborts if an argument holds the address of memory that a GPU cannot reach.
void check_words(const void* kernel, int index, const void* bytes, std::size_t size);
template <typename T>
void check_argument(const void* kernel, int index, T value) {
#if __has_builtin(__builtin_clear_padding)
  // What nobody has written between a struct's members is no address.
  if constexpr (std::is_class_v<T>) __builtin_clear_padding(&value);
  check_words(kernel, index, &value, sizeof(T));
#else
  if constexpr (std::is_pointer_v<T>) check_words(kernel, index, &value, sizeof(T));
#endif
}

std::byte* dynamic_shared_memory();
void multiply(Collective kind, void* d, const std::uint32_t* a, const std::uint32_t* b);
void wait_for_copies(int pending);

}  // namespace emulation

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...));
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "parameters of a kernel: at most 4 KB");
  std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  const void* address = reinterpret_cast<const void*>(kernel);
  std::apply(
      [address](const auto&... value) {
        int index = 0;
        (emulation::check_argument(address, index++, value), ...);
      },
      values);
  emulation::enqueue(stream, {address, grid, block, shared_bytes,
                              [kernel, values] { std::apply(kernel, values); }});
}

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::dynamic_shared_memory());
}

inline float f16_bits_to_float(std::uint16_t bits) { return f16_to_f32(bits); }
inline std::uint16_t float_to_f16_bits(float value) { return f32_to_f16(value); }

inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulation::multiply(emulation::Collective::mma_bf16, d, a, b);
}
inline void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulation::multiply(emulation::Collective::mma_f16, d, a, b);
}
inline void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulation::multiply(emulation::Collective::mma_s8, d, a, b);
}

void copy_async_16(void* to_shared, const void* from_global, bool valid = true);
void copy_async_commit();
template <int Pending>
void copy_async_wait() {
  emulation::wait_for_copies(Pending);
}

float fast_exp2(float x);

}  // namespace trireme::cuda
