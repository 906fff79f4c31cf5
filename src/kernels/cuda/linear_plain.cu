// Matrix products without tensor cores: each output is a chain in ascending k that one thread owns,
// with the bits of the reference. Parallel are features, tokens and shards.
//
// Tiles pass through shared memory in chunks of k. Rows there are 16 bytes longer than their data,
// so that neighbours' 16-byte loads meet different banks.
#include <type_traits>

#include "kernels/cuda/linear_product.h"

namespace trireme::cuda {

namespace {

/// How a weight dtype lies in memory, and how four products join a sum.
template <DType dtype>
struct Weight;

__device__ inline float multiply_four(const float4& x, const float4& w, float sum) {
  sum = fmaf(x.x, w.x, sum);
  sum = fmaf(x.y, w.y, sum);
  sum = fmaf(x.z, w.z, sum);
  return fmaf(x.w, w.w, sum);
}

template <>
struct Weight<DType::f32> {
  using Stored = float;
  __device__ static float4 load_four(const float* from) {
    return *reinterpret_cast<const float4*>(from);
  }
  __device__ static float add_products(const float4& x, const float4& w, float sum) {
    return multiply_four(x, w, sum);
  }
};

template <>
struct Weight<DType::f16> {
  using Stored = std::uint16_t;
  __device__ static float half_of(unsigned word, int shift) {
    return f16_bits_to_float(static_cast<std::uint16_t>(word >> shift));
  }
  __device__ static float4 load_four(const std::uint16_t* from) {
    const uint2 words = *reinterpret_cast<const uint2*>(from);
    return make_float4(half_of(words.x, 0), half_of(words.x, 16), half_of(words.y, 0),
                       half_of(words.y, 16));
  }
  __device__ static float add_products(const float4& x, const float4& w, float sum) {
    return multiply_four(x, w, sum);
  }
};

/// A denormal becomes a zero of its sign.
__device__ inline float flushed(unsigned bits) {
  return __uint_as_float((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

/// a * b + c as the reference's fma_flushing (kernels/flushing.h) has it, of numbers that are
/// flushed. Only a result next to the denormals needs a closer look: there tininess shows after
/// rounding as if exponents had no bound.
__device__ inline float fma_flushed(float a, float b, float c) {
  const float sum = fmaf(a, b, c);
  if (!(fabsf(sum) <= 0x1p-126f)) return sum;
  const double exact = static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c);
  const bool tiny = fabs(exact) < 0x1p-126 - 0x1p-151;
  return tiny ? flushed(__float_as_uint(sum) & 0x80000000u) : static_cast<float>(exact);
}

/// Pairs of bfloat16, the second product first.
template <>
struct Weight<DType::bf16> {
  using Stored = std::uint16_t;
  __device__ static float4 load_four(const std::uint16_t* from) {
    const uint2 words = *reinterpret_cast<const uint2*>(from);
    return make_float4(flushed(words.x << 16), flushed(words.x & 0xffff0000u),
                       flushed(words.y << 16), flushed(words.y & 0xffff0000u));
  }
  __device__ static float add_products(const float4& x, const float4& w, float sum) {
    sum = fma_flushed(x.y, w.y, sum);
    sum = fma_flushed(x.x, w.x, sum);
    sum = fma_flushed(x.w, w.w, sum);
    return fma_flushed(x.z, w.z, sum);
  }
};

/// Threads are `across` features x tokens, each with every `across`-th of the tile's.
template <DType dtype_, int features_across_, int tokens_across_, int features_each_,
          int tokens_each_, int depth_, int stages_, int unroll_>
struct Tile {
  using W = Weight<dtype_>;
  using Stored = typename W::Stored;
  static constexpr int features_across = features_across_;
  static constexpr int tokens_across = tokens_across_;
  static constexpr int features_each = features_each_;
  static constexpr int tokens_each = tokens_each_;
  static constexpr int features = features_across * features_each;
  static constexpr int tokens = tokens_across * tokens_each;
  static constexpr int threads = features_across * tokens_across;
  static constexpr int depth = depth_;
  static constexpr int stages = stages_;
  static constexpr int unroll = unroll_;  ///< fours of k at a time
  static constexpr int w_row_bytes = depth * static_cast<int>(sizeof(Stored)) + 16;
  static constexpr int x_row_bytes = depth * static_cast<int>(sizeof(float)) + 16;
  static constexpr int stage_bytes = features * w_row_bytes + tokens * x_row_bytes;
  static constexpr int shared_bytes = stages * stage_bytes;
  // Pairs of bfloat16 take a few registers more.
  static constexpr int resident = dtype_ == DType::bf16 && features_each == 8 ? 1 : 2;
};

/// For few rows a warp is a token and what counts are the bytes under way; for many, how often a
/// number is used once it is in a register.
template <DType dtype>
using EightRows = Tile<dtype, 32, 8, 1, 1, 64, 5, 16>;
template <DType dtype>
using SixteenRows = Tile<dtype, 32, 8, 1, 2, 64, 4, 16>;
template <DType dtype>
using SmallTile = Tile<dtype, 16, 16, 4, 4, 32, 3, 2>;
template <DType dtype>
using LargeTile = Tile<dtype, 16, 16, 8, 8, 16, 3, 1>;

/// Copies rows [first, first + rows) of a matrix, `depth` elements from its column on, into rows of
/// `row_bytes`; zeros for rows from `end` on.
template <int rows, int depth, int row_bytes, int threads, typename Stored>
__device__ void copy_rows(unsigned char* to, const Stored* matrix, std::int64_t pitch, int first,
                          int end) {
  constexpr int elements = 16 / static_cast<int>(sizeof(Stored));
  constexpr int vectors = depth / elements;
  for (int i = static_cast<int>(threadIdx.x); i < rows * vectors; i += threads) {
    const int row = i / vectors;
    const int column = i % vectors;
    const bool valid = first + row < end;
    copy_async_16(to + row * row_bytes + column * 16,
                  valid ? matrix + (first + row) * pitch + column * elements : matrix, valid);
  }
}

template <typename Tile>
__device__ void load_chunk(const Product& product, LoadWalk& walk, unsigned char* stage) {
  using Stored = typename Tile::Stored;
  if (!walk.done(product)) {
    copy_rows<Tile::features, Tile::depth, Tile::w_row_bytes, Tile::threads>(
        stage, static_cast<const Stored*>(product.w) + walk.k, product.w_pitch, walk.place.feature,
        product.padded_n);
    copy_rows<Tile::tokens, Tile::depth, Tile::x_row_bytes, Tile::threads>(
        stage + Tile::features * Tile::w_row_bytes, static_cast<const float*>(product.x) + walk.k,
        product.x_pitch, walk.place.token, product.m);
    walk.advance(product, Tile::depth, Tile::features, Tile::tokens);
  }
  copy_async_commit();
}

template <typename Tile>
__device__ void multiply_chunk(const unsigned char* stage,
                               float (&sum)[Tile::features_each][Tile::tokens_each]) {
  using Stored = typename Tile::Stored;
  const int feature = static_cast<int>(threadIdx.x) % Tile::features_across;
  const int token = static_cast<int>(threadIdx.x) / Tile::features_across;
  const unsigned char* w = stage + feature * Tile::w_row_bytes;
  const unsigned char* x = stage + Tile::features * Tile::w_row_bytes + token * Tile::x_row_bytes;
#pragma unroll Tile::unroll
  for (int k = 0; k < Tile::depth; k += 4) {
    float4 tokens[Tile::tokens_each];
#pragma unroll
    for (int t = 0; t < Tile::tokens_each; ++t) {
      tokens[t] =
          reinterpret_cast<const float4*>(x + t * Tile::tokens_across * Tile::x_row_bytes)[k / 4];
    }
#pragma unroll
    for (int f = 0; f < Tile::features_each; ++f) {
      const auto* row =
          reinterpret_cast<const Stored*>(w + f * Tile::features_across * Tile::w_row_bytes);
      const float4 weights = Tile::W::load_four(row + k);
#pragma unroll
      for (int t = 0; t < Tile::tokens_each; ++t) {
        sum[f][t] = Tile::W::add_products(tokens[t], weights, sum[f][t]);
      }
    }
  }
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::threads, Tile::resident)
    plain_tile_kernel(const Product product) {
  const int feature = static_cast<int>(threadIdx.x) % Tile::features_across;
  const int token = static_cast<int>(threadIdx.x) / Tile::features_across;
  auto* shared = dynamic_shared<unsigned char>();

  // 1. The first chunks set out.
  LoadWalk walk;
  walk.tile = static_cast<int>(blockIdx.x);
  walk.enter(product, Tile::features, Tile::tokens);
  for (int i = 0; i < Tile::stages - 1; ++i) {
    load_chunk<Tile>(product, walk, shared + i * Tile::stage_bytes);
  }

  int stage = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < product.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const TilePlace place = place_of(product, tile, Tile::features, Tile::tokens);
    const ProductOutput output = product.outputs[place.output];
    const bool present = place.token + token < product.m;
    float sum[Tile::features_each][Tile::tokens_each];
    set_zero(sum);
    for (int shard = output.begin; shard < output.end; ++shard) {
      // 2. The shard's chain. A chunk's barrier also says that the stage of the chunk before it has
      // been read by all, so that it can be loaded anew.
      set_zero(sum);
      const int begin = product.shards.w_begin[shard];
      const int end = product.shards.w_begin[shard + 1];
      for (int k = begin; k < end; k += Tile::depth) {
        copy_async_wait<Tile::stages - 2>();
        __syncthreads();
        const int free = stage == 0 ? Tile::stages - 1 : stage - 1;
        load_chunk<Tile>(product, walk, shared + free * Tile::stage_bytes);
        if (present) multiply_chunk<Tile>(shared + stage * Tile::stage_bytes, sum);
        stage = stage + 1 == Tile::stages ? 0 : stage + 1;
      }
      // 3. The shards meet.
      if (output.end - output.begin > 1) {
        SumsAtRest<Tile::features_each, Tile::tokens_each, Tile::threads> at_rest(product);
        at_rest.meet(shard - output.begin, output.end - output.begin, sum);
      }
    }
#pragma unroll
    for (int f = 0; f < Tile::features_each; ++f) {
#pragma unroll
      for (int t = 0; t < Tile::tokens_each; ++t) {
        store_sum(product, output, place.feature + feature + f * Tile::features_across,
                  place.token + token + t * Tile::tokens_across, sum[f][t]);
      }
    }
  }
}

template <typename Tile>
void launch_with(Context& context, int blocks, const Product& product) {
  const auto kernel = plain_tile_kernel<Tile>;
  allow_shared(kernel, Tile::shared_bytes);
  launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(Tile::threads), Tile::shared_bytes,
         context.stream, product);
  check_launch("plain_tile_kernel");
}

template <DType dtype>
void launch_of(Context& context, int tile, int blocks, const Product& product) {
  switch (tile) {
    case 0:
      return launch_with<EightRows<dtype>>(context, blocks, product);
    case 1:
      return launch_with<SixteenRows<dtype>>(context, blocks, product);
    case 2:
      return launch_with<SmallTile<dtype>>(context, blocks, product);
    default:
      return launch_with<LargeTile<dtype>>(context, blocks, product);
  }
}

template <typename Tile>
TileSize size_of_tile(float cost) {
  return {Tile::features, Tile::tokens, Tile::shared_bytes, Tile::resident, cost};
}

// The costs go by how many numbers of shared memory feed one product.
template <DType dtype>
TileSize size_for(int tile) {
  switch (tile) {
    case 0:
      return size_of_tile<EightRows<dtype>>(6.0f);
    case 1:
      return size_of_tile<SixteenRows<dtype>>(4.0f);
    case 2:
      return size_of_tile<SmallTile<dtype>>(1.5f);
    default:
      return size_of_tile<LargeTile<dtype>>(1.0f);
  }
}

/// x as it is multiplied, one column of padded k for each thread.
template <bool to_bfloat16>
__global__ void __launch_bounds__(256) pad_input_kernel(const Product product, float* to) {
  const auto pitch = static_cast<std::int64_t>(product.w_pitch);
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (at >= product.m * pitch) return;
  const std::int64_t row = at / pitch;
  const auto column = static_cast<int>(at - row * pitch);
  int shard = 0;
  while (column >= product.shards.w_begin[shard + 1]) ++shard;
  const int in_shard = column - product.shards.w_begin[shard];
  const int width = product.shards.x_begin[shard + 1] - product.shards.x_begin[shard];
  // A product of -0 and the weights' +0 is -0, which changes no sum. But the partner of an odd last
  // bfloat16 is +0 in the reference.
  float value = to_bfloat16 && in_shard == width && width % 2 == 1 ? 0.0f : -0.0f;
  if (in_shard < width) {
    value = static_cast<const float*>(
        product.x)[row * product.x_pitch + product.shards.x_begin[shard] + in_shard];
    if (to_bfloat16) value = flushed(unsigned{BFloat16::round(value)} << 16);
  }
  to[at] = value;
}

}  // namespace

TileSize plain_tile_size(DType dtype, int tile) {
  return dtype == DType::f32 ? size_for<DType::f32>(tile) : size_for<DType::f16>(tile);
}

void launch_plain_tiles(Context& context, DType dtype, int tile, int blocks,
                        const Product& product) {
  if (dtype == DType::f32) {
    launch_of<DType::f32>(context, tile, blocks, product);
  } else if (dtype == DType::f16) {
    launch_of<DType::f16>(context, tile, blocks, product);
  } else {
    launch_of<DType::bf16>(context, tile, blocks, product);
  }
}

void launch_pad_input(Context& context, DType dtype, const Product& product, float* to) {
  const std::int64_t blocks = ceil_div(product.m * product.w_pitch, 256);
  if (blocks == 0) return;
  launch(dtype == DType::bf16 ? pad_input_kernel<true> : pad_input_kernel<false>,
         dim3(static_cast<unsigned>(blocks)), dim3(256), 0, context.stream, product, to);
  check_launch("pad_input_kernel");
}

}  // namespace trireme::cuda
