// Argmax and the sums of exponentials over blocks of the vocabulary.
#include "kernels/cuda/elementary.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/top.h"
#include "kernels/cuda/vocabulary.h"

namespace trireme::cuda {

namespace {

constexpr unsigned top_threads = 256;
constexpr unsigned warps = top_threads / 32;

/// Block x looks through part x of row y (and y + gridDim.y, ...).
template <int Width>
__global__ void find_top(const float* logits, std::int64_t rows, std::int64_t cols, std::int64_t ld,
                         Top* parts) {
  const std::int64_t begin = blockIdx.x * top_columns;
  const std::int64_t end = begin + top_columns < cols ? begin + top_columns : cols;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const float* x = logits + row * ld;
    Top top = no_top();
    for (std::int64_t i = begin + std::int64_t{threadIdx.x} * Width; i < end;
         i += top_threads * Width) {
      const Floats<Width> values = load<Width>(x + i);
      for (int j = 0; j < Width; ++j) {
        const Top other{values.at[j], static_cast<std::int32_t>(i) + j};
        if (better(other, top)) top = other;
      }
    }
    top = best_of_block<warps>(top);
    if (threadIdx.x == 0) parts[row * gridDim.x + blockIdx.x] = top;
    __syncthreads();  // the block's shared memory serves the next row
  }
}

/// A warp per row.
__global__ void join_tops(const Top* parts, std::int64_t rows, std::int64_t count, Top* out) {
  const std::int64_t row = std::int64_t{blockIdx.x} * warps + threadIdx.x / 32;
  if (row >= rows) return;
  Top top = no_top();
  for (std::int64_t i = threadIdx.x % 32; i < count; i += 32) {
    const Top other = parts[row * count + i];
    if (better(other, top)) top = other;
  }
  top = best_of_warp(top);
  if (threadIdx.x % 32 == 0) out[row] = top;
}

/// Half a warp per block of the vocabulary: block x of the grid has `warps` * 2 of them, of row y.
__global__ void sum_exponentials(const float* logits, std::int64_t rows, std::int64_t cols,
                                 std::int64_t ld, std::int64_t block, ExpSum* out) {
  const std::int64_t blocks = (cols + block - 1) / block;
  const std::int64_t lane = threadIdx.x % row_lanes;
  const std::int64_t index = std::int64_t{blockIdx.x} * (2 * warps) + threadIdx.x / row_lanes;
  const std::int64_t begin = index * block;
  // Nothing is left for a half warp beyond the last block but to keep its warp together.
  const std::int64_t rest = index < blocks ? cols - begin : 0;
  const std::int64_t count = rest < block ? rest : block;
  const float lowest = __uint_as_float(0xff800000u);

  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const float* x = logits + row * ld + begin;
    float max = lowest;
    for (std::int64_t i = lane; i < count; i += row_lanes) max = larger(x[i], max);
    for (int apart = row_lanes / 2; apart > 0; apart /= 2) {
      max = larger(__shfl_xor_sync(0xffffffffu, max, apart), max);
    }
    max += 0.0f;
    float sum = 0;
    if (max != lowest) {
#pragma unroll 4
      for (std::int64_t i = lane; i < count; i += row_lanes) sum += exp_of(x[i] - max);
    }
    sum = sum_of_lanes(sum);
    if (lane == 0 && index < blocks) out[row * blocks + index] = {max, sum};
  }
}

dim3 row_grid(std::int64_t blocks, std::int64_t rows) {
  return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(std::min(rows, most_blocks_y)));
}

}  // namespace

void top_of_parts(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
                  std::int64_t ld, Top* parts) {
  if (rows == 0) return;
  launch(in_fours(cols, {logits}, {ld}) ? find_top<4> : find_top<1>,
         row_grid(top_parts(cols), rows), dim3(top_threads), 0, context.stream, logits, rows, cols,
         ld, parts);
  check_launch("argmax");
}

std::size_t argmax_scratch_bytes(std::int64_t rows, std::int64_t cols) {
  return top_parts(cols) == 1 ? 0 : static_cast<std::size_t>(rows * top_parts(cols)) * sizeof(Top);
}

void argmax(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
            std::int64_t ld, Top* out) {
  const std::int64_t parts = top_parts(cols);
  if (rows == 0) return;
  if (parts == 1) return top_of_parts(context, logits, rows, cols, ld, out);
  auto* tops = reinterpret_cast<Top*>(context.scratch(argmax_scratch_bytes(rows, cols)));
  top_of_parts(context, logits, rows, cols, ld, tops);
  launch(join_tops, dim3(static_cast<unsigned>(ceil_div(rows, warps))), dim3(top_threads), 0,
         context.stream, tops, rows, parts, out);
  check_launch("argmax");
}

void exp_sums(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
              std::int64_t ld, std::int64_t block, ExpSum* out) {
  if (rows == 0 || cols == 0) return;
  const std::int64_t blocks = ceil_div(cols, block);
  launch(sum_exponentials, row_grid(ceil_div(blocks, 2 * warps), rows), dim3(top_threads), 0,
         context.stream, logits, rows, cols, ld, block, out);
  check_launch("exp_sums");
}

}  // namespace trireme::cuda
