// y = x W^T: per shard of K one chain of fused multiply-adds in ascending order (of bfloat16: pair
// by pair, as VDPBF16PS does), then the shards' sums in the fixed binary tree, then the bias.
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/flushing.h"
#include "kernels/packed.h"
#include "kernels/reference/reference_backend.h"

namespace trireme {

namespace {

/// x as the products see it: bfloat16 weights multiply activations rounded to bfloat16.
std::vector<float> rounded_input(const LinearArgs& args) {
  const std::int64_t k = args.shape->k();
  std::vector<float> x;
  x.reserve(static_cast<std::size_t>(args.m * k));
  for (std::int64_t row = 0; row < args.m; ++row) {
    for (std::int64_t i = 0; i < k; ++i) {
      const float value = args.x[row * args.ldx + i];
      x.push_back(args.shape->dtype == DType::bf16 ? bf16_to_f32(f32_to_bf16(value)) : value);
    }
  }
  return x;
}

float chain(const float* x, const float* w, std::int64_t width) {
  float sum = 0.0f;
  for (std::int64_t k = 0; k < width; ++k) sum = std::fma(x[k], w[k], sum);
  return sum;
}

/// Each pair's second product first; an odd last one has a partner of zeros. Denormals are zero.
float chain_of_pairs(const float* x, const float* w, std::int64_t width) {
  float sum = 0.0f;
  for (std::int64_t k = 0; k < width; k += 2) {
    const bool paired = k + 1 < width;
    sum = fma_flushing(paired ? x[k + 1] : 0.0f, paired ? w[k + 1] : 0.0f, sum);
    sum = fma_flushing(x[k], w[k], sum);
  }
  return sum;
}

float dot(DType dtype, const float* x, const float* w, std::int64_t width) {
  return dtype == DType::bf16 ? chain_of_pairs(x, w, width) : chain(x, w, width);
}

/// The shards' dots in the binary tree whose left half is the largest power of two below the count.
float tree_sum(const MatrixShape& shape, const std::vector<std::int64_t>& begins, Range shards,
               const float* x, const float* w) {
  if (shards.empty()) return 0.0f;
  const auto first = static_cast<std::size_t>(shards.begin);
  if (shards.size() == 1) {
    return dot(shape.dtype, x + begins[first], w + begins[first], shape.k_shards[first]);
  }
  const auto left =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(shards.size() - 1)));
  const std::int64_t middle = shards.begin + left;
  return tree_sum(shape, begins, {shards.begin, middle}, x, w) +
         tree_sum(shape, begins, {middle, shards.end}, x, w);
}

}  // namespace

void ReferenceBackend::linear(ThreadPool& threads, const LinearArgs& args) const {
  const MatrixShape& shape = *args.shape;
  const std::int64_t k = shape.k();
  std::vector<std::int64_t> begins;
  std::int64_t begin = 0;
  for (const std::int64_t width : shape.k_shards) {
    begins.push_back(begin);
    begin += width;
  }
  const std::vector<float> x = rounded_input(args);
  threads.parallel_for(args.m == 0 ? 0 : shape.n, [&](std::int64_t column) {
    std::vector<float> w(static_cast<std::size_t>(k));
    packed::unpack_row(shape, column, args.w, w.data());
    for (const ShardSum& output : args.outputs) {
      for (std::int64_t row = 0; row < args.m; ++row) {
        const float sum = tree_sum(shape, begins, output.shards, x.data() + row * k, w.data());
        float& y = output.y[row * args.ldy + column];
        y = args.bias == nullptr ? sum : sum + args.bias[column];
      }
    }
  });
}

}  // namespace trireme
