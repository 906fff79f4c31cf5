// What the kernels of matrix products of floats share: the product as they see it, how its tiles
// are numbered, and how the sums of shards meet within a block.
#pragma once

#include <cstdint>

#include "kernels/cuda/context.h"
#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

/// Shards of K, and outputs, that one product can have.
inline constexpr int most_shards = 64;

/// Where the virtual shards begin; entry [count] is where the last one ends.
struct ShardTable {
  std::int32_t count = 0;
  std::int32_t x_begin[most_shards + 1] = {};  ///< columns of x
  /// Columns of W, whose shards are padded to multiples of 64, and of a padded copy of x.
  std::int32_t w_begin[most_shards + 1] = {};
};

/// The sum of the shards [begin, end).
struct ProductOutput {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  float* y = nullptr;  ///< [m, ldy]
};

/// One matrix product. Kernels get it by value.
struct Product {
  const void* w = nullptr;
  std::int64_t w_pitch = 0;   ///< elements from row to row
  std::int32_t padded_n = 0;  ///< rows of W, zero rows included
  std::int32_t n = 0;
  const void* x = nullptr;   ///< [m, x_pitch], see each kernel
  std::int64_t x_pitch = 0;  ///< elements
  std::int32_t m = 0;
  const float* bias = nullptr;
  std::int64_t ldy = 0;
  float* parking = nullptr;         ///< see SumsAtRest
  std::int32_t parking_levels = 0;  ///< of each block
  std::int32_t feature_tiles = 0;
  std::int32_t token_tiles = 0;
  std::int32_t tiles = 0;  ///< of all outputs
  ShardTable shards;
  std::int32_t output_count = 0;
  ProductOutput outputs[most_shards];
};

/// A tile of the output: features are rows of W, tokens are rows of x.
struct TileSize {
  int features = 0;
  int tokens = 0;
  int shared_bytes = 0;
  int resident = 1;   ///< blocks of a multiprocessor, as far as registers go
  float cost = 1.0f;  ///< of one element, relative
};

// The launchers of each family. `tile` is one of the family's sizes.

/// bfloat16 or float16 on tensor cores; x is float32 as LinearArgs has it, each output is one shard
/// and m at most few_rows.
void launch_few_rows(Context& context, DType dtype, const Product& product);
inline constexpr std::int64_t few_rows = 16;

/// bfloat16 or float16 on tensor cores; x is rounded and padded by launch_round_input.
void launch_tensor_tiles(Context& context, DType dtype, int tile, int blocks,
                         const Product& product);
inline constexpr int tensor_tile_sizes = 4;
TileSize tensor_tile_size(int tile);

/// Chains in ascending k. x is float32, its shards side by side as in W: padded by launch_pad_input
/// or, where no shard needs padding and all is aligned to 16 bytes, the caller's.
void launch_plain_tiles(Context& context, DType dtype, int tile, int blocks,
                        const Product& product);
inline constexpr int plain_tile_sizes = 4;
TileSize plain_tile_size(DType dtype, int tile);

/// Rounds x (product.x, float32) to bfloat16 or float16, zeros in the padding: [m, w_pitch].
void launch_round_input(Context& context, DType dtype, const Product& product, std::uint16_t* to);
/// Copies x as the plain kernels multiply it, [m, w_pitch]: of bfloat16 weights rounded to
/// bfloat16. Padding is such that its products change no sum, the sign of a zero included.
void launch_pad_input(Context& context, DType dtype, const Product& product, float* to);

/// Allows a kernel its dynamic shared memory.
template <typename... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::size_t bytes) {
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute");
}

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

/// bfloat16 as tensor cores take it. A NaN stays one.
struct BFloat16 {
  __device__ static std::uint16_t round(float value) {
    const unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[2]) {
    mma_bf16(d, a, b);
  }
};

struct Float16 {
  __device__ static std::uint16_t round(float value) { return float_to_f16_bits(value); }
  __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[2]) {
    mma_f16(d, a, b);
  }
};

/// Two neighbours, the first in the lower half.
template <typename Element>
__device__ inline std::uint32_t rounded_pair(float first, float second) {
  return std::uint32_t{Element::round(first)} | std::uint32_t{Element::round(second)} << 16;
}

/// Adds the products of 32 k of 16 features (`low`: row group, `high`: row group + 8) and of 8
/// tokens, of which this lane holds 8 quad ... 8 quad + 7: the order that linear.h gives.
template <typename Element>
__device__ inline void multiply_half(float (&sum)[4], const uint4& low, const uint4& high,
                                     const uint4& x, int half) {
  const std::uint32_t a[4] = {half == 0 ? low.x : low.z, half == 0 ? high.x : high.z,
                              half == 0 ? low.y : low.w, half == 0 ? high.y : high.w};
  const std::uint32_t b[2] = {half == 0 ? x.x : x.z, half == 0 ? x.y : x.w};
  Element::multiply(sum, a, b);
}

/// Which tile of which output a block works on.
struct TilePlace {
  int output;
  int feature;  ///< the first
  int token;
};

__device__ inline int output_of(const Product& product, int tile) {
  return tile / (product.feature_tiles * product.token_tiles);
}

/// Tiles follow one another in bands of eight tiles of features, so that the blocks at work at
/// one time share both W and x in the L2 cache.
__device__ inline TilePlace place_of(const Product& product, int tile, int features, int tokens) {
  constexpr int band = 8;
  const int output = output_of(product, tile);
  const int in_output = tile - output * product.feature_tiles * product.token_tiles;
  const int first = in_output / (band * product.token_tiles) * band;
  const int in_band = in_output - first * product.token_tiles;
  const int width = min(band, product.feature_tiles - first);
  return {output, (first + in_band % width) * features, in_band / width * tokens};
}

/// Walks through the k of one block's tiles in steps of `depth`, tile after tile: what is to be
/// loaded next.
struct LoadWalk {
  int tile;
  TilePlace place;
  int k;
  int k_end;

  /// From `tile` on, the first tile that has any k.
  __device__ void enter(const Product& product, int features, int tokens) {
    for (; tile < product.tiles; tile += static_cast<int>(gridDim.x)) {
      place = place_of(product, tile, features, tokens);
      k = product.shards.w_begin[product.outputs[place.output].begin];
      k_end = product.shards.w_begin[product.outputs[place.output].end];
      if (k < k_end) return;
    }
  }
  __device__ bool done(const Product& product) const { return tile >= product.tiles; }
  __device__ void advance(const Product& product, int depth, int features, int tokens) {
    k += depth;
    if (k < k_end) return;
    tile += static_cast<int>(gridDim.x);
    enter(product, features, tokens);
  }
};

/// Sums of shards that wait for their other half, in global memory: the binary counter whose
/// carries are the nodes of the tree. A thread parks and fetches its own numbers only.
template <int rows, int columns, int threads>
struct SumsAtRest {
  float* own;  ///< of this thread, levels one after another

  __device__ SumsAtRest(const Product& product)
      : own(product.parking +
            static_cast<std::int64_t>(blockIdx.x) * product.parking_levels * rows * columns *
                threads +
            threadIdx.x) {}

  /// The sum of shard `index` of `count` is in `sum`. Parks it, joined with all that it completes;
  /// the last one joins all that is left and stays in `sum`.
  __device__ void meet(int index, int count, float (&sum)[rows][columns]) {
    const bool last = index + 1 == count;
    int level = 0;
    for (; last ? index >> level != 0 : (index >> level & 1) != 0; ++level) {
      if ((index >> level & 1) != 0) add(level, sum);
    }
    if (!last) park(level, sum);
  }

 private:
  __device__ void add(int level, float (&sum)[rows][columns]) {
    const float* from = own + static_cast<std::int64_t>(level) * rows * columns * threads;
#pragma unroll
    for (int i = 0; i < rows; ++i) {
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        sum[i][j] = from[(i * columns + j) * threads] + sum[i][j];
      }
    }
  }
  __device__ void park(int level, const float (&sum)[rows][columns]) {
    float* to = own + static_cast<std::int64_t>(level) * rows * columns * threads;
#pragma unroll
    for (int i = 0; i < rows; ++i) {
#pragma unroll
      for (int j = 0; j < columns; ++j) to[(i * columns + j) * threads] = sum[i][j];
    }
  }
};

template <int rows, int columns>
__device__ inline void set_zero(float (&sum)[rows][columns]) {
#pragma unroll
  for (int i = 0; i < rows; ++i) {
#pragma unroll
    for (int j = 0; j < columns; ++j) sum[i][j] = 0.0f;
  }
}

__device__ inline void store_sum(const Product& product, const ProductOutput& output, int feature,
                                 int token, float sum) {
  if (feature >= product.n || token >= product.m) return;
  output.y[token * product.ldy + feature] =
      product.bias == nullptr ? sum : sum + product.bias[feature];
}

#endif

}  // namespace trireme::cuda
