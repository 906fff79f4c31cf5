// Matrix products of many rows on tensor cores: tiles of features x tokens, whose operands pass
// through shared memory in chunks of 64 k.
//
// A block works through its tiles one after another and loads across their borders, so that the
// pipeline never runs empty. Shared memory holds rows of 128 bytes; in odd rows the halves are
// swapped, so that the 16-byte loads of eight lanes (two rows times four quads) meet all banks
// once.
#include "kernels/cuda/linear_product.h"

namespace trireme::cuda {

namespace {

constexpr int depth = 64;       // k of a chunk
constexpr int row_vectors = 8;  // of 16 bytes, in a row of a chunk

template <int warp_features_, int warp_tokens_, int warps_over_features_, int warps_over_tokens_,
          int stages_, int resident_, int unroll_ = 2>
struct Tile {
  static constexpr int warp_features = warp_features_;
  static constexpr int warp_tokens = warp_tokens_;
  static constexpr int warps_over_features = warps_over_features_;
  static constexpr int features = warp_features * warps_over_features;
  static constexpr int tokens = warp_tokens * warps_over_tokens_;
  static constexpr int threads = 32 * warps_over_features * warps_over_tokens_;
  static constexpr int stages = stages_;
  static constexpr int resident = resident_;
  static constexpr int unroll = unroll_;  ///< halves of a chunk at a time
  static constexpr int stage_vectors = (features + tokens) * row_vectors;
  static constexpr int shared_bytes = stages * stage_vectors * 16;
  static constexpr int feature_parts = warp_features / 16;
  static constexpr int token_parts = warp_tokens / 8;
};

using LargeTile = Tile<64, 64, 4, 2, 3, 1>;      // 256 x 128, 144 KB
using SquareTile = Tile<64, 32, 2, 4, 3, 2, 1>;  // 128 x 128, 96 KB
using SmallTile = Tile<32, 32, 2, 2, 4, 3>;      // 64 x 64, 64 KB
using NarrowTile = Tile<16, 32, 4, 1, 6, 3>;     // 64 x 32, 72 KB

/// Copies rows [first, first + rows) of a matrix, the 64 k from its column on, into shared memory;
/// zeros for rows from `end` on.
template <int rows, int threads>
__device__ void copy_rows(uint4* to, const std::uint16_t* matrix, std::int64_t pitch, int first,
                          int end) {
  const int row = static_cast<int>(threadIdx.x) / row_vectors;
  const int column = static_cast<int>(threadIdx.x) % row_vectors;
  // The step is even, so a thread's rows are all odd or all even.
  constexpr int step = threads / row_vectors;
  static_assert(step % 2 == 0 && rows % step == 0);
  to += row * row_vectors + (column ^ (row & 1) << 2);
  const std::uint16_t* from = matrix + (first + row) * pitch + column * 8;
#pragma unroll
  for (int i = 0; i < rows / step; ++i) {
    const bool valid = first + row + i * step < end;
    copy_async_16(to + i * step * row_vectors, valid ? from + i * step * pitch : matrix, valid);
  }
}

/// Loads the walk's next chunk into `stage`, if there is one.
template <typename Tile>
__device__ void load_chunk(const Product& product, LoadWalk& walk, uint4* stage) {
  if (!walk.done(product)) {
    copy_rows<Tile::features, Tile::threads>(stage,
                                             static_cast<const std::uint16_t*>(product.w) + walk.k,
                                             product.w_pitch, walk.place.feature, product.padded_n);
    copy_rows<Tile::tokens, Tile::threads>(stage + Tile::features * row_vectors,
                                           static_cast<const std::uint16_t*>(product.x) + walk.k,
                                           product.x_pitch, walk.place.token, product.m);
    walk.advance(product, depth, Tile::features, Tile::tokens);
  }
  copy_async_commit();
}

/// Adds the products of one chunk to the warp's sums. `w` and `x` are this lane's: row `group` of
/// the warp's part of the tile.
template <typename Element, typename Tile>
__device__ void multiply_chunk(const uint4* w, const uint4* x,
                               float (&sum)[Tile::feature_parts * Tile::token_parts][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll Tile::unroll
  for (int step = 0; step < 2; ++step) {
    const int column = (step * 4 + lane % 4) ^ (lane / 4 & 1) << 2;
    uint4 tokens[Tile::token_parts];
#pragma unroll
    for (int t = 0; t < Tile::token_parts; ++t) tokens[t] = x[t * 8 * row_vectors + column];
#pragma unroll
    for (int f = 0; f < Tile::feature_parts; ++f) {
      const uint4 low = w[f * 16 * row_vectors + column];
      const uint4 high = w[(f * 16 + 8) * row_vectors + column];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int t = 0; t < Tile::token_parts; ++t) {
          multiply_half<Element>(sum[f * Tile::token_parts + t], low, high, tokens[t], half);
        }
      }
    }
  }
}

template <typename Tile>
__device__ void store_tile(const Product& product, const ProductOutput& output, int feature,
                           int token,
                           const float (&sum)[Tile::feature_parts * Tile::token_parts][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int f = 0; f < Tile::feature_parts; ++f) {
#pragma unroll
    for (int t = 0; t < Tile::token_parts; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        store_sum(product, output, feature + f * 16 + lane / 4 + i / 2 * 8,
                  token + t * 8 + lane % 4 * 2 + i % 2, sum[f * Tile::token_parts + t][i]);
      }
    }
  }
}

template <typename Element, typename Tile>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    tensor_tile_kernel(const Product product) {
  constexpr int sums = Tile::feature_parts * Tile::token_parts;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = static_cast<int>(threadIdx.x) % 32 / 4;
  const int warp_feature = warp % Tile::warps_over_features * Tile::warp_features;
  const int warp_token = warp / Tile::warps_over_features * Tile::warp_tokens;
  uint4* shared = dynamic_shared<uint4>();
  const uint4* w_lane = shared + (warp_feature + group) * row_vectors;
  const uint4* x_lane = shared + (Tile::features + warp_token + group) * row_vectors;

  // 1. The first chunks set out.
  LoadWalk walk;
  walk.tile = static_cast<int>(blockIdx.x);
  walk.enter(product, Tile::features, Tile::tokens);
  for (int i = 0; i < Tile::stages - 1; ++i) {
    load_chunk<Tile>(product, walk, shared + i * Tile::stage_vectors);
  }

  int stage = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < product.tiles;
       tile += static_cast<int>(gridDim.x)) {
    // Registers are short: what else there is to know of the tile is looked up at its end.
    const int begin = product.outputs[output_of(product, tile)].begin;
    const int end = product.outputs[output_of(product, tile)].end;
    float sum[sums][4];
    set_zero(sum);
    for (int shard = begin; shard < end; ++shard) {
      // 2. The shard's sum. A chunk's barrier also says that the stage of the chunk before it has
      // been read by all, so that it can be loaded anew.
      set_zero(sum);
      const int width = product.shards.w_begin[shard + 1] - product.shards.w_begin[shard];
      for (int left = width; left > 0; left -= depth) {
        copy_async_wait<Tile::stages - 2>();
        __syncthreads();
        const int free = stage == 0 ? Tile::stages - 1 : stage - 1;
        load_chunk<Tile>(product, walk, shared + free * Tile::stage_vectors);
        multiply_chunk<Element, Tile>(w_lane + stage * Tile::stage_vectors,
                                      x_lane + stage * Tile::stage_vectors, sum);
        stage = stage + 1 == Tile::stages ? 0 : stage + 1;
      }
      // 3. The shards meet.
      if (end - begin > 1) {
        SumsAtRest<sums, 4, Tile::threads> at_rest(product);
        at_rest.meet(shard - begin, end - begin, sum);
      }
    }
    const TilePlace place = place_of(product, tile, Tile::features, Tile::tokens);
    store_tile<Tile>(product, product.outputs[place.output], place.feature + warp_feature,
                     place.token + warp_token, sum);
  }
}

template <typename Element, typename Tile>
void launch_with(Context& context, int blocks, const Product& product) {
  const auto kernel = tensor_tile_kernel<Element, Tile>;
  allow_shared(kernel, Tile::shared_bytes);
  launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(Tile::threads), Tile::shared_bytes,
         context.stream, product);
  check_launch("tensor_tile_kernel");
}

template <typename Element>
void launch_of(Context& context, int tile, int blocks, const Product& product) {
  switch (tile) {
    case 0:
      return launch_with<Element, LargeTile>(context, blocks, product);
    case 1:
      return launch_with<Element, SquareTile>(context, blocks, product);
    case 2:
      return launch_with<Element, SmallTile>(context, blocks, product);
    default:
      return launch_with<Element, NarrowTile>(context, blocks, product);
  }
}

template <typename Tile>
TileSize size_of_tile(float cost) {
  return {Tile::features, Tile::tokens, Tile::shared_bytes, Tile::resident, cost};
}

/// x as tensor cores take it, eight columns of padded k for each thread.
template <typename Element>
__global__ void __launch_bounds__(256)
    round_input_kernel(const Product product, std::uint16_t* to) {
  const int vectors = static_cast<int>(product.w_pitch / 8);
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (at >= std::int64_t{product.m} * vectors) return;
  const std::int64_t row = at / vectors;
  const int column = static_cast<int>(at - row * vectors) * 8;
  int shard = 0;
  while (column >= product.shards.w_begin[shard + 1]) ++shard;
  const int x_begin = product.shards.x_begin[shard];
  const int in_shard = column - product.shards.w_begin[shard];
  const int left = product.shards.x_begin[shard + 1] - x_begin - in_shard;
  const float* from =
      static_cast<const float*>(product.x) + row * product.x_pitch + x_begin + in_shard;
  float value[8];
  if (left >= 8 && reinterpret_cast<std::uintptr_t>(from) % 16 == 0) {
    const float4 first = reinterpret_cast<const float4*>(from)[0];
    const float4 second = reinterpret_cast<const float4*>(from)[1];
    value[0] = first.x, value[1] = first.y, value[2] = first.z, value[3] = first.w;
    value[4] = second.x, value[5] = second.y, value[6] = second.z, value[7] = second.w;
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) value[i] = i < left ? from[i] : 0.0f;
  }
  reinterpret_cast<uint4*>(to)[at] = make_uint4(
      rounded_pair<Element>(value[0], value[1]), rounded_pair<Element>(value[2], value[3]),
      rounded_pair<Element>(value[4], value[5]), rounded_pair<Element>(value[6], value[7]));
}

}  // namespace

// The costs go by how many bytes of shared memory feed one product of 16 x 8 x 16.
TileSize tensor_tile_size(int tile) {
  switch (tile) {
    case 0:
      return size_of_tile<LargeTile>(1.0f);
    case 1:
      return size_of_tile<SquareTile>(1.3f);
    case 2:
      return size_of_tile<SmallTile>(1.7f);
    default:
      return size_of_tile<NarrowTile>(2.5f);
  }
}

void launch_tensor_tiles(Context& context, DType dtype, int tile, int blocks,
                         const Product& product) {
  if (dtype == DType::bf16) {
    launch_of<BFloat16>(context, tile, blocks, product);
  } else {
    launch_of<Float16>(context, tile, blocks, product);
  }
}

void launch_round_input(Context& context, DType dtype, const Product& product, std::uint16_t* to) {
  const std::int64_t blocks = ceil_div(product.m * (product.w_pitch / 8), 256);
  if (blocks == 0) return;
  launch(dtype == DType::bf16 ? round_input_kernel<BFloat16> : round_input_kernel<Float16>,
         dim3(static_cast<unsigned>(blocks)), dim3(256), 0, context.stream, product, to);
  check_launch("round_input_kernel");
}

}  // namespace trireme::cuda
