// y = x W^T: per shard of K one chain of fused multiply-adds in ascending order (of bfloat16: pair
// by pair, as VDPBF16PS does), then the shards' sums in the fixed binary tree, then the bias.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/flushing.h"
#include "kernels/packed.h"
#include "kernels/quantize.h"
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

/// dot(shard) of each of the shards, added up in the binary tree whose left half is the largest
/// power of two below the count.
template <typename Dot>
float tree_sum(Range shards, const Dot& dot) {
  if (shards.empty()) return 0.0f;
  if (shards.size() == 1) return dot(static_cast<std::size_t>(shards.begin));
  const auto left =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(shards.size() - 1)));
  const std::int64_t middle = shards.begin + left;
  return tree_sum(Range{shards.begin, middle}, dot) + tree_sum(Range{middle, shards.end}, dot);
}

std::vector<std::int64_t> begins_of(const std::vector<std::int64_t>& widths) {
  std::vector<std::int64_t> begins;
  std::int64_t begin = 0;
  for (const std::int64_t width : widths) {
    begins.push_back(begin);
    begin += width;
  }
  return begins;
}

void store(const LinearArgs& args, const ShardSum& output, std::int64_t row, std::int64_t column,
           float sum) {
  float& y = output.y[row * args.ldy + column];
  y = args.bias == nullptr ? sum : sum + args.bias[column];
}

/// x with each group's scale, as the products of integers see it.
struct QuantizedInput {
  std::vector<std::int8_t> q;              ///< [m, k]
  std::vector<quant::Activations> groups;  ///< [m, groups of all shards]
  std::vector<std::int64_t> group_begins;  ///< of the shards, among the groups of a row
  std::int64_t groups_per_row = 0;

  explicit QuantizedInput(const LinearArgs& args) {
    const MatrixShape& shape = *args.shape;
    for (const std::int64_t width : shape.k_shards) {
      group_begins.push_back(groups_per_row);
      groups_per_row += ceil_div(width, shape.group);
    }
    q.resize(static_cast<std::size_t>(args.m * shape.k()));
    std::int8_t* out = q.data();
    for (std::int64_t row = 0; row < args.m; ++row) {
      const float* x = args.x + row * args.ldx;
      for (const std::int64_t width : shape.k_shards) {
        for (std::int64_t k = 0; k < width; k += shape.group) {
          const std::int64_t count = std::min(shape.group, width - k);
          groups.push_back(quant::quantize_activations(x, count, out));
          x += count;
          out += count;
        }
      }
    }
  }
};

/// One row of x times one row of W over one shard, whose groups begin at `w` in the row's panel.
float quantized_dot(const MatrixShape& shape, const std::int8_t* x,
                    const quant::Activations* groups, const std::byte* w, std::int64_t lane,
                    std::int64_t width) {
  float y = 0.0f;
  for (std::int64_t k = 0; k < width; k += shape.group) {
    const std::int64_t count = std::min(shape.group, width - k);
    const packed::GroupView group{w, shape.dtype, lane};
    const int zero = group.zero();
    std::int32_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += int{x[k + i]} * (group.code(i) - zero);
    y = std::fma(static_cast<float>(sum), groups++->scale * group.scale(), y);
    w += packed_group_bytes(shape.dtype, count);
  }
  return y;
}

void quantized_linear(ThreadPool& threads, const LinearArgs& args) {
  const MatrixShape& shape = *args.shape;
  const std::vector<std::int64_t> begins = begins_of(shape.k_shards);
  std::vector<std::int64_t> bytes;
  for (const std::int64_t width : shape.k_shards) {
    bytes.push_back(static_cast<std::int64_t>(packed_shard_bytes(shape.format(), width)));
  }
  const std::vector<std::int64_t> byte_begins = begins_of(bytes);
  const QuantizedInput x(args);
  threads.parallel_for(args.m == 0 ? 0 : shape.n, [&](std::int64_t column) {
    const std::byte* panel =
        args.w + static_cast<std::size_t>(column / packed::panel_rows) * packed::panel_bytes(shape);
    for (const ShardSum& output : args.outputs) {
      for (std::int64_t row = 0; row < args.m; ++row) {
        store(args, output, row, column, tree_sum(output.shards, [&](std::size_t shard) {
                return quantized_dot(
                    shape, x.q.data() + row * shape.k() + begins[shard],
                    x.groups.data() + row * x.groups_per_row + x.group_begins[shard],
                    panel + byte_begins[shard], column % packed::panel_rows, shape.k_shards[shard]);
              }));
      }
    }
  });
}

}  // namespace

void ReferenceBackend::linear(ThreadPool& threads, const LinearArgs& args) const {
  const MatrixShape& shape = *args.shape;
  if (quant::is_quantized(shape.dtype)) return quantized_linear(threads, args);
  const std::int64_t k = shape.k();
  const std::vector<std::int64_t> begins = begins_of(shape.k_shards);
  const std::vector<float> x = rounded_input(args);
  threads.parallel_for(args.m == 0 ? 0 : shape.n, [&](std::int64_t column) {
    std::vector<float> w(static_cast<std::size_t>(k));
    packed::unpack_row(shape, column, args.w, w.data());
    for (const ShardSum& output : args.outputs) {
      for (std::int64_t row = 0; row < args.m; ++row) {
        store(args, output, row, column, tree_sum(output.shards, [&](std::size_t shard) {
                return dot(shape.dtype, x.data() + row * k + begins[shard],
                           w.data() + begins[shard], shape.k_shards[shard]);
              }));
      }
    }
  });
}

}  // namespace trireme
