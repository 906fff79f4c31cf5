// Matrix products of up to 16 rows on tensor cores: what counts is that the weights stream past
// without a pause.
//
// A warp has 16 rows of W and walks through one shard. Each lane copies the 16-byte pieces that it
// will multiply, and no other lane's, through a ring of its own in shared memory (a register file
// that loads fill from behind), so nobody waits for anybody: 64 KB are under way in a block at any
// time, and two blocks fit on a multiprocessor. x is rounded on the way into shared memory, once
// per block.
#include <algorithm>
#include <bit>

#include "kernels/cuda/linear_product.h"

namespace trireme::cuda {

namespace {

constexpr int chunk = 64;         // k of a step: what shards are padded to
constexpr int ring_chunks = 32;   // of 16 rows, 2 KB each, shared out among the warps
constexpr int x_elements = 8192;  // of x in shared memory at a time
constexpr int x_padding = 32;     // elements after each row: rows start 64 bytes of banks apart
constexpr int vector = 8;         // elements in 16 bytes
constexpr int chunk_vectors = 4 * 32;  // of 16 rows: two rows times two halves for each lane

/// Elements between the rows of x in shared memory.
__device__ __host__ constexpr int x_row(int x_depth) { return x_depth + x_padding; }

std::size_t shared_bytes(int m, int x_depth) {
  return ring_chunks * chunk_vectors * sizeof(uint4) +
         static_cast<std::size_t>(m) * static_cast<std::size_t>(x_row(x_depth)) * 2;
}
/// What the kernels are allowed, always the same: recorded launches of more rows, and other
/// threads' launches, count on it too.
constexpr std::size_t most_shared_bytes =
    ring_chunks * chunk_vectors * sizeof(uint4) + (x_elements + few_rows * x_padding) * 2;

/// Four columns of x, from `column` of a shard on, whose row begins at `x`; zeros behind its
/// `width`. Whole ones load at once where all begin at multiples of 16 bytes and the width is one
/// of four.
template <bool whole>
__device__ float4 four_of(const float* x, int column, int width) {
  float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if constexpr (whole) {
    if (column < width) value = *reinterpret_cast<const float4*>(x + column);
  } else {
    if (column < width) value.x = x[column];
    if (column + 1 < width) value.y = x[column + 1];
    if (column + 2 < width) value.z = x[column + 2];
    if (column + 3 < width) value.w = x[column + 3];
  }
  return value;
}

/// Rounds columns [begin, begin + x_depth) of a shard of x into shared memory, [m][x_row(x_depth)].
/// x_depth is a power of two.
template <typename Element, int threads, bool whole>
__device__ void round_x(const float* x, std::int64_t pitch, int m, int width, int begin,
                        int x_depth, std::uint16_t* to) {
  const int quads = x_depth / 4;
  const int shift = 31 - __clz(quads);
  // Unrolled for the sake of the loads: the products wait for all of them.
#pragma unroll(whole ? 8 : 2)
  for (int i = static_cast<int>(threadIdx.x); i < m * quads; i += threads) {
    const int token = i >> shift;
    const int column = (i & (quads - 1)) * 4;
    const float4 value = four_of<whole>(x + token * pitch, begin + column, width);
    *reinterpret_cast<uint2*>(to + token * x_row(x_depth) + column) = make_uint2(
        rounded_pair<Element>(value.x, value.y), rounded_pair<Element>(value.z, value.w));
  }
}

template <typename Element, int threads>
__device__ void bring_x(const Product& product, int shard, int begin, int x_depth,
                        std::uint16_t* to) {
  const int x_begin = product.shards.x_begin[shard];
  const int width = product.shards.x_begin[shard + 1] - x_begin;
  const float* x = static_cast<const float*>(product.x) + x_begin;
  const bool whole =
      reinterpret_cast<std::uintptr_t>(x) % 16 == 0 && product.x_pitch % 4 == 0 && width % 4 == 0;
  if (whole) {
    round_x<Element, threads, true>(x, product.x_pitch, product.m, width, begin, x_depth, to);
  } else {
    round_x<Element, threads, false>(x, product.x_pitch, product.m, width, begin, x_depth, to);
  }
}

/// One lane's way through a shard of 16 rows of W.
template <int stages>
struct WeightRing {
  const std::uint16_t* from;  ///< row `group`, column 8 quad of the shard
  std::int64_t eight_rows;    ///< elements
  uint4* ring;                ///< this lane's first vector
  int chunks;

  __device__ uint4* slot(int index) const {
    return ring + static_cast<unsigned>(index) % stages * chunk_vectors;
  }

  __device__ void copy(int index) const {
    if (index < chunks) {
      const std::uint16_t* low = from + index * chunk;
      const std::uint16_t* high = low + eight_rows;
      uint4* to = slot(index);
      copy_async_16(to, low);
      copy_async_16(to + 32, low + chunk / 2);
      copy_async_16(to + 64, high);
      copy_async_16(to + 96, high + chunk / 2);
    }
    copy_async_commit();
  }
  __device__ void start() const {
#pragma unroll
    for (int i = 0; i < stages; ++i) copy(i);
  }
  /// To be called for each chunk in turn: its pieces, in whose place others are then copied. The
  /// barriers keep the compiler, too, from moving the reads.
  __device__ void take(int index, uint4 (&w)[4]) const {
    copy_async_wait<stages - 1>();
    __syncwarp();
    const uint4* at = slot(index);
#pragma unroll
    for (int i = 0; i < 4; ++i) w[i] = at[i * 32];
    __syncwarp();
    copy(index + stages);
  }
};

template <typename Element, int warps, int token_tiles>
__global__ void __launch_bounds__(warps * 32) few_rows_kernel(const Product product, int x_depth) {
  constexpr int stages = ring_chunks / warps;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = lane / 4;
  const int quad = lane % 4;
  const ProductOutput output = product.outputs[blockIdx.y];
  const int shard = output.begin;
  const int w_begin = product.shards.w_begin[shard];
  const int chunks = (product.shards.w_begin[shard + 1] - w_begin) / chunk;
  const int row = (static_cast<int>(blockIdx.x) * warps + warp) * 16 + group;
  const bool present = row < product.padded_n;  // all rows of the warp or none

  // 1. The weights set out.
  uint4* shared = dynamic_shared<uint4>();
  auto* x_shared = reinterpret_cast<std::uint16_t*>(shared + ring_chunks * chunk_vectors);
  const WeightRing<stages> weights{
      static_cast<const std::uint16_t*>(product.w) + row * product.w_pitch + w_begin +
          quad * vector,
      8 * product.w_pitch, shared + warp * stages * chunk_vectors + lane, present ? chunks : 0};
  weights.start();

  // 2. Chunk by chunk, the next one's pieces already in registers. Lanes of tokens that there are
  // not read some other token's x; their columns are not stored.
  float sum[token_tiles][4];
  set_zero(sum);
  const uint4* x_lane[token_tiles];
#pragma unroll
  for (int t = 0; t < token_tiles; ++t) {
    const int token = min(t * 8 + group, product.m - 1);
    x_lane[t] = reinterpret_cast<const uint4*>(x_shared + token * x_row(x_depth) + quad * vector);
  }
  const int x_chunks = x_depth / chunk;
  for (int first = 0; first < chunks; first += x_chunks) {
    if (first > 0) __syncthreads();
    bring_x<Element, warps * 32>(product, shard, first * chunk, x_depth, x_shared);
    __syncthreads();
    if (!present) continue;
    const int end = min(first + x_chunks, chunks);
    uint4 next[4];
    weights.take(first, next);
    for (int index = first; index < end; ++index) {
      const uint4 w[4] = {next[0], next[1], next[2], next[3]};
      uint4 x[token_tiles][2];
#pragma unroll
      for (int t = 0; t < token_tiles; ++t) {
        x[t][0] = x_lane[t][(index - first) * (chunk / vector)];
        x[t][1] = x_lane[t][(index - first) * (chunk / vector) + 4];
      }
      if (index + 1 < end) weights.take(index + 1, next);
#pragma unroll
      for (int part = 0; part < 4; ++part) {
#pragma unroll
        for (int t = 0; t < token_tiles; ++t) {
          multiply_half<Element>(sum[t], w[part / 2], w[2 + part / 2], x[t][part / 2], part % 2);
        }
      }
    }
  }

  // 3. The sums.
  if (!present) return;
#pragma unroll
  for (int t = 0; t < token_tiles; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      store_sum(product, output, row + i / 2 * 8, t * 8 + 2 * quad + i % 2, sum[t][i]);
    }
  }
}

template <typename Element, int warps, int token_tiles>
void launch_with(Context& context, const Product& product, int x_depth) {
  const auto kernel = few_rows_kernel<Element, warps, token_tiles>;
  allow_shared(kernel, most_shared_bytes);
  const dim3 grid(static_cast<unsigned>((product.padded_n / 16 + warps - 1) / warps),
                  static_cast<unsigned>(product.output_count));
  launch(kernel, grid, dim3(warps * 32), shared_bytes(product.m, x_depth), context.stream, product,
         x_depth);
  check_launch("few_rows_kernel");
}

template <typename Element, int token_tiles>
void launch_for(Context& context, const Product& product, int x_depth) {
  // Enough blocks for every multiprocessor come first; then, the more warps in a block the less
  // often x is read.
  const int per_processor =
      product.padded_n / 16 * product.output_count / context.traits.multiprocessors;
  if (per_processor >= 8 && token_tiles == 2) {
    launch_with<Element, 8, token_tiles>(context, product, x_depth);
  } else if (per_processor >= 4) {
    launch_with<Element, 4, token_tiles>(context, product, x_depth);
  } else if (per_processor >= 1) {
    launch_with<Element, 2, token_tiles>(context, product, x_depth);
  } else {
    launch_with<Element, 1, token_tiles>(context, product, x_depth);
  }
}

/// How much of x shared memory takes at a time: a power of two, not more than the widest shard
/// needs.
int x_depth_of(const Product& product) {
  int widest = chunk;
  for (int i = 0; i < product.output_count; ++i) {
    const int shard = product.outputs[i].begin;
    widest = std::max(widest, product.shards.w_begin[shard + 1] - product.shards.w_begin[shard]);
  }
  const auto tokens = static_cast<int>(std::bit_ceil(static_cast<unsigned>(product.m)));
  return std::min(x_elements / tokens,
                  static_cast<int>(std::bit_ceil(static_cast<unsigned>(widest))));
}

template <typename Element>
void launch_of(Context& context, const Product& product) {
  const int x_depth = x_depth_of(product);
  if (product.m <= 8) {
    launch_for<Element, 1>(context, product, x_depth);
  } else {
    launch_for<Element, 2>(context, product, x_depth);
  }
}

}  // namespace

void launch_few_rows(Context& context, DType dtype, const Product& product) {
  if (dtype == DType::bf16) {
    launch_of<BFloat16>(context, product);
  } else {
    launch_of<Float16>(context, product);
  }
}

}  // namespace trireme::cuda
