// Work that is done for each element of a matrix apart: how it is shared out among threads, four
// columns at a time where everything is aligned for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "core/range.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// `Width` floats that one thread loads and stores together: 1 or 4.
template <int Width>
struct alignas(Width * sizeof(float)) Floats {
  float at[Width];
};

/// Blocks along y and z of a grid, at most.
inline constexpr std::int64_t most_blocks_y = 65535;

/// Whether rows of `cols` floats can be read and written four at a time: at these pointers, these
/// many floats apart.
inline bool in_fours(std::int64_t cols, std::initializer_list<const void*> pointers,
                     std::initializer_list<std::int64_t> pitches) {
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  const auto even = [](std::int64_t pitch) { return pitch % 4 == 0; };
  return cols % 4 == 0 && std::all_of(pointers.begin(), pointers.end(), aligned) &&
         std::all_of(pitches.begin(), pitches.end(), even);
}

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

template <int Width>
__device__ inline Floats<Width> load(const float* from) {
  return *reinterpret_cast<const Floats<Width>*>(from);
}
template <int Width>
__device__ inline void store(float* to, const Floats<Width>& values) {
  *reinterpret_cast<Floats<Width>*>(to) = values;
}

/// Calls work.run<Width>(row, column) for the first column of each `Width`, of each row.
template <int Width, typename Work>
__global__ void each_column(Work work, std::int64_t rows, std::int64_t cols) {
  const std::int64_t column =
      (std::int64_t{blockIdx.x} * blockDim.x + std::int64_t{threadIdx.x}) * Width;
  if (column >= cols) return;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    work.template run<Width>(row, column);
  }
}

template <int Width, typename Work>
void launch_each_column(const Context& context, const Work& work, std::int64_t rows,
                        std::int64_t cols, const char* name) {
  const std::int64_t threads = ceil_div(cols, Width);
  const std::int64_t block = std::min<std::int64_t>(256, round_up(threads, 32));
  const dim3 grid(static_cast<unsigned>(ceil_div(threads, block)),
                  static_cast<unsigned>(std::min(rows, most_blocks_y)));
  launch(each_column<Width, Work>, grid, dim3(static_cast<unsigned>(block)), 0, context.stream,
         work, rows, cols);
  check_launch(name);
}

/// Work on rows of `cols` columns; with `fours` at the columns 0, 4, 8, ...
template <typename Work>
void for_each_column(const Context& context, const Work& work, std::int64_t rows, std::int64_t cols,
                     bool fours, const char* name) {
  if (rows <= 0 || cols <= 0) return;
  fours ? launch_each_column<4>(context, work, rows, cols, name)
        : launch_each_column<1>(context, work, rows, cols, name);
}

#endif

}  // namespace trireme::cuda
