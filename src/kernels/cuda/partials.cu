#include <algorithm>

#include "kernels/cuda/partials.h"

namespace trireme::cuda {

namespace {

constexpr int threads = 256;
/// What a launch takes by value.
constexpr std::size_t most_outputs = 64;
constexpr int tree_levels = 7;

struct Outputs {
  struct One {
    std::int32_t begin, end;
    float* y;
  };
  One list[most_outputs];
};

/// The sum of `count` numbers, `stride` apart, in the binary tree whose left half is the largest
/// power of two below the count: a binary counter, where equal subtrees merge as soon as both exist
/// and what is left merges from the smallest on.
__device__ float tree_of(const float* __restrict__ leaf, std::int32_t count, std::int64_t stride) {
  float waiting[tree_levels] = {};  // the sum of 2^level leaves where that bit of the number is set
#pragma unroll 4
  for (std::int32_t i = 0; i < count; ++i) {
    float sum = leaf[i * stride];
    bool merging = true;
#pragma unroll
    for (int level = 0; level < tree_levels; ++level) {
      const bool occupied = (i >> level & 1) != 0;
      const float merged = waiting[level] + sum;
      if (merging && !occupied) waiting[level] = sum;
      sum = merging && occupied ? merged : sum;
      merging = merging && occupied;
    }
  }
  float sum = 0.0f;
  bool first = true;
#pragma unroll
  for (int level = 0; level < tree_levels; ++level) {
    if ((count >> level & 1) == 0) continue;
    sum = first ? waiting[level] : waiting[level] + sum;
    first = false;
  }
  return sum;
}

/// A thread makes one number of one output.
__global__ void __launch_bounds__(threads)
    sum_partials_kernel(ShardPartials partials, const float* __restrict__ bias, Outputs outputs,
                        std::int64_t ldy) {
  const std::int64_t numbers = partials.m * partials.n;
  const std::int64_t index = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  if (index >= numbers) return;
  const std::int64_t row = index / partials.n;
  const std::int64_t column = index - row * partials.n;
  const Outputs::One& output = outputs.list[blockIdx.y];
  const float* first = partials.data + output.begin * numbers + index;
  const float sum = tree_of(first, output.end - output.begin, numbers);
  output.y[row * ldy + column] = bias == nullptr ? sum : sum + bias[column];
}

}  // namespace

void sum_partials(Context& context, const ShardPartials& partials, const float* bias,
                  std::span<const ShardSum> outputs, std::int64_t ldy) {
  const std::int64_t numbers = partials.m * partials.n;
  if (numbers == 0) return;
  while (!outputs.empty()) {
    const std::size_t count = std::min(outputs.size(), most_outputs);
    Outputs list = {};
    for (std::size_t i = 0; i < count; ++i) {
      list.list[i] = {static_cast<std::int32_t>(outputs[i].shards.begin),
                      static_cast<std::int32_t>(outputs[i].shards.end), outputs[i].y};
    }
    const dim3 grid(static_cast<unsigned>(ceil_div(numbers, threads)),
                    static_cast<unsigned>(count));
    launch(sum_partials_kernel, grid, dim3(threads), 0, context.stream, partials, bias, list, ldy);
    check_launch("sum_partials");
    outputs = outputs.subspan(count);
  }
}

}  // namespace trireme::cuda
