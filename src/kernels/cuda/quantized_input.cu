// Rounding x to eight bits, group by group: quant::quantize_activations, bit for bit.
#include "kernels/cuda/quantized_product.h"
#include "kernels/quantize.h"

namespace trireme::cuda {

namespace {

constexpr int warps = 8;
constexpr int words_per_lane = quant::widest_group / 4 / 32;
constexpr float smallest = quant::smallest_activation;

/// Four consecutive k, zeros from `count` on.
__device__ float4 load_four(const float* x, int count) {
  if (count >= 4 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0) {
    return *reinterpret_cast<const float4*>(x);
  }
  return make_float4(count > 0 ? x[0] : 0.0f, count > 1 ? x[1] : 0.0f, count > 2 ? x[2] : 0.0f,
                     count > 3 ? x[3] : 0.0f);
}

__device__ std::int32_t magnitude_bits(float value) { return __float_as_int(value) & 0x7fffffff; }

/// To the nearest integer, ties to even, for |value| < 2^22.
__device__ std::int32_t rounded(float value) {
  constexpr float shift = 0x1.8p23f;
  return static_cast<std::int32_t>((value + shift) - shift);
}

/// A warp rounds one group of one row.
__global__ void __launch_bounds__(warps * 32)
    round_input_kernel(PackedLayout layout, const float* __restrict__ x, std::int64_t m,
                       std::int64_t ldx, RoundedInput out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t item = std::int64_t{blockIdx.x} * warps + threadIdx.x / 32;
  const std::int64_t row = item / layout.groups();
  const auto group = static_cast<std::int32_t>(item - row * layout.groups());
  if (row >= m) return;

  // Which k, and which blocks.
  std::int32_t shard = 0;
  while (group >= layout.group_begin[shard + 1]) ++shard;
  const std::int32_t index = group - layout.group_begin[shard];
  const std::int32_t k_of_shard = index * layout.group;
  const std::int32_t width = min(layout.group, layout.width(shard) - k_of_shard);
  const float* from = x + row * ldx + layout.k_begin[shard] + k_of_shard;
  const std::int32_t block = layout.padded_begin[shard] + index * layout.group_blocks;

  // The largest magnitude: of positive numbers the larger has the larger bits.
  float4 values[words_per_lane];
  std::int32_t largest_bits = 0;
#pragma unroll
  for (int i = 0; i < words_per_lane; ++i) {
    const int k = (i * 32 + lane) * 4;
    values[i] = load_four(from + k, width - k);
    largest_bits =
        max(largest_bits, max(max(magnitude_bits(values[i].x), magnitude_bits(values[i].y)),
                              max(magnitude_bits(values[i].z), magnitude_bits(values[i].w))));
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    largest_bits = max(largest_bits, __shfl_xor_sync(0xffffffffu, largest_bits, lanes));
  }
  const float largest = __int_as_float(largest_bits);
  const bool finite = largest_bits < 0x7f800000;
  const bool counts = finite && largest >= smallest;

  // The integers: 4 to a word, 8 words of a row to a block.
  const float inverse = counts ? 127.0f / largest : 0.0f;
  std::int8_t* codes =
      out.codes + ((row / octet * layout.blocks() + block) * octet + row % octet) * block_k;
  const std::int32_t words = (width + 31) / 32 * 8;
  std::int32_t sum = 0;
#pragma unroll
  for (int i = 0; i < words_per_lane; ++i) {
    const int word = i * 32 + lane;
    if (word >= words) break;
    std::uint32_t bytes = 0;
    if (counts) {
      const std::int32_t q[4] = {rounded(values[i].x * inverse), rounded(values[i].y * inverse),
                                 rounded(values[i].z * inverse), rounded(values[i].w * inverse)};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sum += q[j];
        bytes |= (static_cast<std::uint32_t>(q[j]) & 0xffu) << (8 * j);
      }
    }
    *reinterpret_cast<std::uint32_t*>(codes + word / 8 * (octet * block_k) + word % 8 * 4) = bytes;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (lane != 0) return;
  const std::int64_t at = group * out.padded_rows + row;
  out.scales[at] = counts ? largest / 127.0f : finite ? 0.0f : __int_as_float(0x7fc00000);
  out.sums[at] = sum;
}

std::size_t code_bytes(const PackedLayout& layout, std::int64_t padded_rows) {
  return static_cast<std::size_t>(padded_rows * layout.blocks() * block_k);
}

}  // namespace

std::size_t rounded_input_bytes(const PackedLayout& layout, std::int64_t rows) {
  const std::int64_t padded_rows = round_up(rows, octet);
  return code_bytes(layout, padded_rows) + static_cast<std::size_t>(padded_rows * layout.groups()) *
                                               (sizeof(float) + sizeof(std::int32_t));
}

RoundedInput round_input(Context& context, const PackedLayout& layout, const float* x,
                         std::int64_t m, std::int64_t ldx, std::byte* memory) {
  RoundedInput out;
  out.padded_rows = round_up(m, octet);
  out.codes = reinterpret_cast<std::int8_t*>(memory);
  memory += code_bytes(layout, out.padded_rows);
  out.scales = reinterpret_cast<float*>(memory);
  out.sums = reinterpret_cast<std::int32_t*>(out.scales + out.padded_rows * layout.groups());
  const std::int64_t items = m * layout.groups();
  if (items == 0) return out;
  launch(round_input_kernel, dim3(static_cast<unsigned>(ceil_div(items, warps))), dim3(warps * 32),
         0, context.stream, layout, x, m, ldx, out);
  check_launch("round_input");
  return out;
}

}  // namespace trireme::cuda
