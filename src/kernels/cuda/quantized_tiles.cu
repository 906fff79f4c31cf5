// Many rows: tiles on tensor cores, fed through shared memory.
//
// A thread block of eight warps makes tiles of 128 or 64 features by up to 128 rows; a warp makes
// one strip (32 features) of some octets of rows. K passes by in steps of up to two blocks of codes
// that never cross a group's end. At a group's end the integers are scaled into y, at a shard's end
// y joins the binary tree of the shards: what waits for its partner is parked in memory, where each
// thread finds its own numbers again.
#include <algorithm>

#include "kernels/cuda/quantized_device.h"
#include "kernels/cuda/quantized_product.h"

namespace trireme::cuda {

namespace {

constexpr int warps = 8;
constexpr int threads = warps * 32;
constexpr int step_blocks = 2;
/// Parked sums take memory for each resident thread block.
constexpr std::int64_t most_resident = 288;
constexpr std::int64_t octet_block_bytes = octet * block_k;

/// How a tile is shared by the warps.
template <int TileStrips, int WarpOctets, int Stages>
struct Tile {
  static constexpr int strips = TileStrips;
  static constexpr int row_warps = warps / strips;
  static constexpr int warp_octets = WarpOctets;
  static constexpr int octets = row_warps * warp_octets;
  static constexpr int stages = Stages;  ///< steps under way
  static constexpr std::int64_t features = strips * strip_rows;
  static constexpr std::int64_t rows = octets * octet;
  /// Thread blocks that registers should leave room for.
  static constexpr int resident = warp_octets > 4 ? 1 : 2;
  static constexpr int numbers = 2 * warp_octets * 4;  ///< of a thread
};

using Large = Tile<4, 8, 4>;   // 128 features, 128 rows
using Medium = Tile<4, 4, 4>;  // 128, 64
using Small = Tile<2, 2, 8>;   // 64, 64
using Flat = Tile<2, 1, 8>;    // 64, 32

/// Shared memory of one step.
template <DType Kind, typename T>
struct Stage {
  static constexpr std::int64_t block_bytes = BlockCodes<Kind>::block_bytes;
  static constexpr std::int64_t w_bytes = step_blocks * block_bytes;        // of a strip
  static constexpr std::int64_t x_bytes = step_blocks * octet_block_bytes;  // of an octet
  static constexpr std::int64_t w_scales = T::strips * w_bytes + T::octets * x_bytes;
  static constexpr std::int64_t w_zeros = w_scales + T::strips * 64;
  static constexpr std::int64_t x_scales = w_zeros + (Kind == DType::u4 ? T::strips * 32 : 0);
  static constexpr std::int64_t x_sums = x_scales + T::rows * 4;
  static constexpr std::int64_t bytes = x_sums + (Kind == DType::u4 ? T::rows * 4 : 0);

  std::byte* memory;

  __device__ std::byte* codes(int strip) const { return memory + strip * w_bytes; }
  __device__ std::byte* x(int of_octet) const {
    return memory + T::strips * w_bytes + of_octet * x_bytes;
  }
};

/// Where a tile lies, and what it sums.
struct Place {
  std::int64_t strip = 0;  ///< its first one
  std::int64_t feature = 0;
  std::int64_t row = 0;  ///< within the product's rows
  std::int32_t output = 0;
};

template <typename T>
__device__ Place place_of(const QuantizedProduct& product, std::int64_t tile) {
  const std::int64_t down = (product.rows + T::rows - 1) / T::rows;
  const std::int64_t across = (product.layout.n + T::features - 1) / T::features;
  Place place;
  place.row = tile % down * T::rows;  // neighbours share weights
  place.strip = tile / down % across * T::strips;
  place.feature = place.strip * strip_rows;
  place.output = static_cast<std::int32_t>(tile / down / across);
  return place;
}

/// One step after another through the shards of an output.
struct Steps {
  std::int32_t block, blocks;  ///< this step's
  std::int32_t group;
  bool ends_group;

  __device__ Steps(const PackedLayout& layout, const QuantizedOutput& output)
      : block(layout.padded_begin[output.shard_begin]),
        blocks(0),
        group(layout.group_begin[output.shard_begin] - 1),
        ends_group(true),
        group_end_(block),
        shard_(output.shard_begin),
        blocks_end_(layout.padded_begin[output.shard_end]) {}

  /// False behind the last one.
  __device__ bool next(const PackedLayout& layout) {
    block += blocks;
    blocks = 0;
    if (block == blocks_end_) return false;
    if (block == group_end_) {
      ++group;
      while (block == layout.padded_begin[shard_ + 1]) ++shard_;
      group_end_ = min(block + layout.group_blocks, layout.padded_begin[shard_ + 1]);
    }
    blocks = min(step_blocks, group_end_ - block);
    ends_group = block + blocks == group_end_;
    return true;
  }

 private:
  std::int32_t group_end_;
  std::int32_t shard_;
  std::int32_t blocks_end_;
};

/// Starts copying lines of 16-byte pieces, at most `Lines` of at most `Pieces`; all threads take
/// part.
template <int Lines, int Pieces>
__device__ void copy_lines(std::byte* to, std::int64_t to_pitch, const void* from_global,
                           std::int64_t from_pitch, int lines, int pieces) {
  const auto* from = static_cast<const std::byte*>(from_global);
#pragma unroll
  for (int first = 0; first < Lines * Pieces; first += threads) {
    const int i = first + static_cast<int>(threadIdx.x);
    const int line = i / Pieces;
    const int piece = i % Pieces;
    if (line >= lines || piece >= pieces) continue;
    copy_async_16(to + line * to_pitch + piece * 16, from + line * from_pitch + piece * 16);
  }
}

/// Where a tile's operands begin, and how many strips and octets of it exist. The others are left
/// as they are in shared memory: nobody stores what becomes of them.
template <DType Kind, typename T>
struct TileSource {
  const QuantizedProduct& product;
  std::int64_t x_row;
  const std::byte* strip;
  const std::int8_t* x;
  int strips, octets;

  __device__ TileSource(const QuantizedProduct& its_product, const Place& place)
      : product(its_product), x_row(product.x_row + place.row) {
    const PackedLayout& layout = product.layout;
    strip = product.w + place.strip * layout.strip_bytes();
    x = product.x.codes + x_row / octet * octet_bytes();
    const std::int64_t strips_left = (layout.n + strip_rows - 1) / strip_rows - place.strip;
    const std::int64_t octets_left = (product.rows - place.row + octet - 1) / octet;
    strips = static_cast<int>(min(std::int64_t{T::strips}, strips_left));
    octets = static_cast<int>(min(std::int64_t{T::octets}, octets_left));
  }
  __device__ std::int64_t octet_bytes() const {
    return product.layout.blocks() * octet_block_bytes;
  }

  /// Starts a step's copies.
  __device__ void load(const Steps& step, const Stage<Kind, T>& stage) const {
    using S = Stage<Kind, T>;
    constexpr int w_pieces = static_cast<int>(S::block_bytes / 16);
    constexpr int x_pieces = static_cast<int>(octet_block_bytes / 16);
    copy_lines<T::strips, step_blocks * w_pieces>(
        stage.codes(0), S::w_bytes, strip + step.block * S::block_bytes,
        product.layout.strip_bytes(), strips, step.blocks * w_pieces);
    copy_lines<T::octets, step_blocks * x_pieces>(stage.x(0), S::x_bytes,
                                                  x + step.block * octet_block_bytes, octet_bytes(),
                                                  octets, step.blocks * x_pieces);
    if (step.ends_group) load_scales(step.group, stage);
  }

 private:
  __device__ void load_scales(std::int32_t group, const Stage<Kind, T>& stage) const {
    using S = Stage<Kind, T>;
    const PackedLayout& layout = product.layout;
    const std::int64_t row = group * product.x.padded_rows + x_row;
    copy_lines<T::strips, 4>(stage.memory + S::w_scales, 64,
                             strip + layout.scales_offset() + group * 64, layout.strip_bytes(),
                             strips, 4);
    copy_lines<1, T::octets * 2>(stage.memory + S::x_scales, 0, product.x.scales + row, 0, 1,
                                 octets * 2);
    if constexpr (Kind == DType::u4) {
      copy_lines<T::strips, 2>(stage.memory + S::w_zeros, 32,
                               strip + layout.zeros_offset() + group * 32, layout.strip_bytes(),
                               strips, 2);
      copy_lines<1, T::octets * 2>(stage.memory + S::x_sums, 0, product.x.sums + row, 0, 1,
                                   octets * 2);
    }
  }
};

/// A warp's part of a tile: sums of products of a group, and of a shard what groups have become.
template <DType Kind, typename T>
struct WarpTile {
  std::int32_t d[2][T::warp_octets][4];
  float y[2][T::warp_octets][4];
  int lane, strip, first_octet;

  __device__ WarpTile()
      : lane(static_cast<int>(threadIdx.x % 32)),
        strip(static_cast<int>(threadIdx.x / 32) / T::row_warps),
        first_octet(static_cast<int>(threadIdx.x / 32) % T::row_warps * T::warp_octets) {}

  template <typename Change>
  __device__ void each(const Change& change) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < T::warp_octets; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) change(half, i, j);
      }
    }
  }
  __device__ void begin_group() {
    each([this](int half, int i, int j) { d[half][i][j] = 0; });
  }
  __device__ void begin_shard() {
    each([this](int half, int i, int j) { y[half][i][j] = 0.0f; });
  }

  __device__ void multiply(const Stage<Kind, T>& stage, int blocks) {
#pragma unroll
    for (int block = 0; block < step_blocks; ++block) {
      if (block >= blocks) break;
      BlockCodes<Kind> codes;
      codes.load_shared(stage.codes(strip) + block * BlockCodes<Kind>::block_bytes, lane);
      std::uint32_t a[2][4];
      codes.operand(0, a[0]);
      codes.operand(1, a[1]);
#pragma unroll
      for (int i = 0; i < T::warp_octets; ++i) {
        const uint2 word = *reinterpret_cast<const uint2*>(stage.x(first_octet + i) +
                                                           block * octet_block_bytes + lane * 8);
        const std::uint32_t b[2] = {word.x, word.y};
        mma_s8(d[0][i], a[0], b);
        mma_s8(d[1][i], a[1], b);
      }
    }
  }

  /// y = fma(float(sum), x's scale * w's scale, y).
  __device__ void end_group(const Stage<Kind, T>& stage) {
    using S = Stage<Kind, T>;
    float w_scale[4];  // of rows group + 8 j
    const uint2 scales =
        *reinterpret_cast<const uint2*>(stage.memory + S::w_scales + strip * 64 + lane / 4 * 8);
    w_scale[0] = f16_bits_to_float(static_cast<std::uint16_t>(scales.x));
    w_scale[1] = f16_bits_to_float(static_cast<std::uint16_t>(scales.x >> 16));
    w_scale[2] = f16_bits_to_float(static_cast<std::uint16_t>(scales.y));
    w_scale[3] = f16_bits_to_float(static_cast<std::uint16_t>(scales.y >> 16));
    std::uint32_t zeros = 0;
    if constexpr (Kind == DType::u4) {
      zeros = *reinterpret_cast<const std::uint32_t*>(stage.memory + S::w_zeros + strip * 32 +
                                                      lane / 4 * 4);
    }
#pragma unroll
    for (int i = 0; i < T::warp_octets; ++i) {
      const std::int64_t at = ((first_octet + i) * octet + lane % 4 * 2) * 4;
      const float2 x_scale = *reinterpret_cast<const float2*>(stage.memory + S::x_scales + at);
      int2 x_sum = make_int2(0, 0);
      if constexpr (Kind == DType::u4) {
        x_sum = *reinterpret_cast<const int2*>(stage.memory + S::x_sums + at);
      }
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int feature = j / 2;  // group + 8 j: half j / 4, the lower or the upper eight
        std::int32_t sum = d[feature / 2][i][j % 4] >> BlockCodes<Kind>::sum_shift;
        if constexpr (Kind == DType::u4) {
          const auto zero = static_cast<std::int32_t>(zeros >> (8 * feature) & 0xffu);
          sum -= (zero - 8) * (j % 2 == 0 ? x_sum.x : x_sum.y);
        }
        float& to = y[feature / 2][i][j % 4];
        to = add_group(sum, j % 2 == 0 ? x_scale.x : x_scale.y, w_scale[feature], to);
      }
    }
  }

  /// The sums of shard number `index` of an output meet those of the shards before it. `parked` is
  /// this thread's first number of level 0, where sums of 2^level shards wait.
  __device__ void end_shard(std::int32_t index, bool last, float* parked) {
    for (std::int32_t rest = index; rest != 0 || !last; rest >>= 1) {
      if ((rest & 1) != 0) {
        each([&](int half, int i, int j) {
          y[half][i][j] = parked[number(half, i, j)] + y[half][i][j];
        });
      } else if (!last) {
        each([&](int half, int i, int j) { parked[number(half, i, j)] = y[half][i][j]; });
        return;
      }
      parked += T::numbers * threads;
    }
  }

  __device__ void store(const QuantizedProduct& product, const Place& place) {
    float* to = product.outputs[place.output].y;
    each([&](int half, int i, int j) {
      const std::int64_t feature =
          place.feature + strip * strip_rows + half * 16 + j / 2 * 8 + lane / 4;
      const std::int64_t row = place.row + (first_octet + i) * octet + lane % 4 * 2 + j % 2;
      if (feature >= product.layout.n || row >= product.rows) return;
      const float sum = y[half][i][j];
      to[row * product.ldy + feature] = product.bias == nullptr ? sum : sum + product.bias[feature];
    });
  }

 private:
  __device__ static std::int64_t number(int half, int i, int j) {
    return ((half * T::warp_octets + i) * 4 + j) * threads;
  }
};

template <DType Kind, typename T>
__global__ void __launch_bounds__(threads, T::resident)
    multiply_tiles_kernel(QuantizedProduct product, std::int64_t tiles, std::int32_t levels,
                          float* parking) {
  using S = Stage<Kind, T>;
  const PackedLayout& layout = product.layout;
  std::byte* shared = dynamic_shared<std::byte>();
  parking += std::int64_t{blockIdx.x} * levels * (T::numbers * threads) + threadIdx.x;
  WarpTile<Kind, T> warp;

  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Place place = place_of<T>(product, tile);
    const QuantizedOutput& output = product.outputs[place.output];
    const TileSource<Kind, T> source(product, place);
    Steps loading(layout, output);
    int load_stage = 0;
    const auto load_next = [&] {
      if (loading.next(layout)) source.load(loading, S{shared + load_stage * S::bytes});
      copy_async_commit();
      load_stage = load_stage + 1 == T::stages ? 0 : load_stage + 1;
    };
    for (int i = 0; i < T::stages - 1; ++i) load_next();

    int stage = 0;
    warp.begin_shard();  // an output may have no shards
    for (std::int32_t shard = output.shard_begin; shard < output.shard_end; ++shard) {
      warp.begin_shard();
      const std::int32_t shard_end = layout.padded_begin[shard + 1];
      std::int32_t block = layout.padded_begin[shard];
      while (block < shard_end) {
        warp.begin_group();
        const std::int32_t group_end = min(block + layout.group_blocks, shard_end);
        for (; block < group_end; block += step_blocks) {
          copy_async_wait<T::stages - 2>();
          __syncthreads();  // this step has arrived, and the stage before it is free
          load_next();
          const S now{shared + stage * S::bytes};
          warp.multiply(now, min(step_blocks, group_end - block));
          if (block + step_blocks >= group_end) warp.end_group(now);
          stage = stage + 1 == T::stages ? 0 : stage + 1;
        }
        block = group_end;
      }
      warp.end_shard(shard - output.shard_begin, shard + 1 == output.shard_end, parking);
    }
    warp.store(product, place);
    __syncthreads();  // the stages are free for the next tile
  }
}

template <typename T>
std::int64_t tile_count(std::int64_t rows, std::int64_t n) {
  return ceil_div(rows, T::rows) * ceil_div(n, T::features);
}
template <typename T>
std::int64_t tile_count(const QuantizedProduct& product) {
  return tile_count<T>(product.rows, product.layout.n) * product.output_count;
}

/// Levels of the tree on which sums of `shards` shards wait.
std::int32_t levels_of(std::int64_t shards) {
  std::int32_t levels = 0;
  while ((std::int64_t{1} << levels) < shards) ++levels;
  return levels;
}

template <DType Kind, typename T>
void launch_tiles(Context& context, const QuantizedProduct& product, std::byte* parking) {
  const std::int64_t tiles = tile_count<T>(product);
  std::int32_t most_shards = 0;
  for (std::int32_t i = 0; i < product.output_count; ++i) {
    const QuantizedOutput& output = product.outputs[i];
    most_shards = std::max(most_shards, output.shard_end - output.shard_begin);
  }
  constexpr std::size_t bytes = T::stages * Stage<Kind, T>::bytes;
  check(cudaFuncSetAttribute(multiply_tiles_kernel<Kind, T>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "multiply_tiles");
  const std::int64_t blocks =
      std::min({tiles, std::int64_t{context.traits.multiprocessors} * T::resident, most_resident});
  launch(multiply_tiles_kernel<Kind, T>, dim3(static_cast<unsigned>(blocks)), dim3(threads), bytes,
         context.stream, product, tiles, levels_of(most_shards), reinterpret_cast<float*>(parking));
  check_launch("multiply_tiles");
}

/// Large tiles read least, but all multiprocessors should have one.
template <DType Kind>
void launch_kind(Context& context, const QuantizedProduct& product, std::byte* parking) {
  const std::int64_t wanted = context.traits.multiprocessors;
  if (product.rows <= Flat::rows) return launch_tiles<Kind, Flat>(context, product, parking);
  if (product.rows > Medium::rows && tile_count<Large>(product) >= wanted) {
    return launch_tiles<Kind, Large>(context, product, parking);
  }
  if (tile_count<Medium>(product) >= wanted) {
    return launch_tiles<Kind, Medium>(context, product, parking);
  }
  launch_tiles<Kind, Small>(context, product, parking);
}

}  // namespace

void multiply_tiles(Context& context, const QuantizedProduct& product, std::byte* parking) {
  switch (product.layout.dtype) {
    case DType::i8:
      return launch_kind<DType::i8>(context, product, parking);
    case DType::i4:
      return launch_kind<DType::i4>(context, product, parking);
    default:
      return launch_kind<DType::u4>(context, product, parking);
  }
}

std::size_t tile_parking_bytes(std::int64_t n, std::int64_t rows, std::int64_t outputs,
                               std::int64_t most_shards) {
  const std::int64_t whole = round_up(n, Large::features) * round_up(rows, Large::rows) * outputs;
  const std::int64_t resident = most_resident * (Large::numbers * threads);
  return static_cast<std::size_t>(std::min(whole, resident) * levels_of(most_shards)) *
         sizeof(float);
}

bool tiles_are_few(const Context& context, std::int64_t rows, std::int64_t n) {
  const std::int64_t tiles =
      rows <= Flat::rows ? tile_count<Flat>(rows, n) : tile_count<Small>(rows, n);
  return tiles < 2 * std::int64_t{context.traits.multiprocessors};
}

}  // namespace trireme::cuda
