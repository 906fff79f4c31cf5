// A block of threads takes up to 128 queries (tokens times the heads that share a K/V head) through
// all keys that they see, 16 queries to a warp, as FlashAttention-2 does (Dao, arXiv 2307.08691).
// K and V stream through a ring of tiles of 64 keys in shared memory. Splits are joined in
// registers.
#include "kernels/cuda/attention_softmax.h"
#include "kernels/cuda/attention_tiles.h"

namespace trireme::cuda {

namespace {

constexpr int most_warps = 8;

/// Of heads of up to `dim` dimensions; shorter ones are filled up with zeros.
template <int dim>
struct Shape {
  /// Of o, those that a warp has registers for. Wider heads take two warps to the same queries.
  static constexpr int columns = dim <= 128 ? dim : dim / 2;
  static constexpr int warps_together = dim / columns;
  static constexpr int steps = dim / 16;
  /// Elements between two keys: an odd multiple of 16 bytes, so that eight rows of a matrix lie in
  /// different banks.
  static constexpr int pitch = dim + 8;
  static constexpr int tile_elements = softmax_keys * pitch;
  static constexpr int slots = dim <= 128 ? 4 : 2;
  /// Wide queries rest in shared memory, as fragments.
  static constexpr bool queries_in_registers = dim <= 128;
  static constexpr std::size_t query_bytes =
      queries_in_registers ? 0
                           : most_warps / warps_together * std::size_t{steps} * warp_threads * 16;
  static constexpr std::size_t shared_bytes =
      query_bytes + std::size_t{slots} * tile_elements * sizeof(std::uint16_t);
};

/// The queries of one warp. q' is the same for both warps of a wide head, and either writes it.
template <DType dtype, int dim, bool in_registers = Shape<dim>::queries_in_registers>
struct Queries {
  std::uint32_t steps[Shape<dim>::steps][4];

  __device__ Queries(const AttentionView& view, const float* const (&q)[2], int, const Lane& at,
                     uint4*) {
#pragma unroll
    for (int step = 0; step < Shape<dim>::steps; ++step) {
      load_query<dtype>(view, q, step, at, steps[step]);
    }
  }
  __device__ void fragment(int step, const Lane&, std::uint32_t (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = steps[step][i];
  }
};
template <DType dtype, int dim>
struct Queries<dtype, dim, false> {
  uint4* fragments;

  __device__ Queries(const AttentionView& view, const float* const (&q)[2], int part,
                     const Lane& at, uint4* shared)
      : fragments(shared) {
    for (int step = part; step < Shape<dim>::steps; step += Shape<dim>::warps_together) {
      std::uint32_t a[4];
      load_query<dtype>(view, q, step, at, a);
      fragments[step * warp_threads + at.lane] = make_uint4(a[0], a[1], a[2], a[3]);
    }
  }
  __device__ void fragment(int step, const Lane& at, std::uint32_t (&a)[4]) const {
    const uint4 four = fragments[step * warp_threads + at.lane];
    a[0] = four.x;
    a[1] = four.y;
    a[2] = four.z;
    a[3] = four.w;
  }
};

/// Tiles 0, 1, 2, 3, ... are K of the first block of keys, its V, K of the second, ...
template <int dim>
struct Ring {
  using Of = Shape<dim>;

  const AttentionView& view;
  CacheBlocks blocks;
  std::int32_t first_block;
  std::int32_t tiles;
  std::uint16_t* memory;

  __device__ std::uint16_t* slot(std::int32_t tile) const {
    return memory + tile % Of::slots * Of::tile_elements;
  }

  /// Starts the copy of a tile. There is a group of copies for each call, though it be empty.
  __device__ void fetch(std::int32_t tile) const {
    if (tile < tiles) {
      const void* const cache = tile % 2 == 0 ? view.k : view.v;
      const std::int32_t block = (first_block + tile / 2) * (softmax_keys / cache_block_keys);
      const std::uint16_t* const halves[2] = {blocks.at(view, cache, block),
                                              blocks.at(view, cache, block + 1)};
      std::uint16_t* const to = slot(tile);
      constexpr int chunks = dim / 8;
      for (int i = static_cast<int>(threadIdx.x); i < softmax_keys * chunks;
           i += static_cast<int>(blockDim.x)) {
        const int key = i / chunks;
        const int chunk = i % chunks;
        const std::uint16_t* const half = key < cache_block_keys ? halves[0] : halves[1];
        const bool valid = half != nullptr && chunk * 8 < view.head_stride;
        const std::uint16_t* const from =
            valid ? half + key % cache_block_keys * view.head_stride + chunk * 8
                  : static_cast<const std::uint16_t*>(cache);
        copy_async_16(to + key * Of::pitch + chunk * 8, from, valid);
      }
    }
    copy_async_commit();
  }

  /// Fills the ring but for one slot.
  __device__ void begin() const {
    for (std::int32_t tile = 0; tile < Of::slots - 1; ++tile) fetch(tile);
  }

  /// A tile that has arrived, for the whole block of threads; the one before it makes room.
  __device__ const std::uint16_t* take(std::int32_t tile) const {
    copy_async_wait<Of::slots - 2>();
    __syncthreads();
    fetch(tile + Of::slots - 1);
    return slot(tile);
  }
};

/// What a warp's rows have to do with a block of keys.
struct WarpRange {
  KeyRange some;  ///< keys that some row sees
  KeyRange all;   ///< keys that all rows see

  __device__ bool touches(std::int32_t origin) const {
    return origin <= some.last && origin + softmax_keys > some.first;
  }
  __device__ bool within(std::int32_t origin) const {
    return origin >= all.first && origin + softmax_keys - 1 <= all.last;
  }
};

__device__ WarpRange warp_range(const AttentionView& view, const TileRows& tile,
                                std::int32_t first_row) {
  const std::int32_t rows = tile.tokens * tile.group.count;
  if (first_row >= rows) return {{0, -1}, {0, -1}};
  const std::int32_t end_row = first_row + warp_rows < rows ? first_row + warp_rows : rows;
  const KeyRange of_first = tile.keys(view, first_row);
  const KeyRange of_last = tile.keys(view, end_row - 1);
  return {{of_first.first, of_last.last}, {of_last.first, of_first.last}};
}

template <DType dtype, int dim>
__global__ void __launch_bounds__(most_warps* warp_threads, 1)
    attention_tile_kernel(AttentionView view, std::int32_t tokens_per_tile, std::int32_t few_rows) {
  using Of = Shape<dim>;
  constexpr int tiles = Of::columns / 8;

  // --- This block's queries; the last tokens, which see most, go first ---
  const TokenTile tile = token_tile(view.sequences, tokens_per_tile,
                                    static_cast<std::int32_t>(gridDim.x - 1 - blockIdx.x));
  const DeviceSequence& sequence = view.sequences.list[tile.sequence];
  if (tile.count == 0 || sequence.rows <= few_rows) return;
  const HeadGroup group = view.groups[blockIdx.y];
  const KeyRange keys = visible_keys(view, sequence, tile.begin, tile.begin + tile.count);
  const std::int32_t first_block = keys.first / softmax_keys;
  const std::int32_t last_block = keys.last / softmax_keys;

  // --- This warp's ---
  const Lane at;
  const int warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int part = warp % Of::warps_together;
  const int first_row = warp / Of::warps_together * warp_rows;
  const int row = first_row + at.group;
  const TileRows rows{sequence, group, tile.begin, tile.count};
  const KeyRange seen[2] = {rows.keys(view, row), rows.keys(view, row + 8)};
  const WarpRange range = warp_range(view, rows, first_row);

  auto* const shared = dynamic_shared<unsigned char>();
  const Ring<dim> ring{view, CacheBlocks(sequence, keys, group.kv_head), first_block,
                       2 * (last_block - first_block + 1),
                       reinterpret_cast<std::uint16_t*>(shared + Of::query_bytes)};
  ring.begin();
  const Queries<dtype, dim> queries(
      view, {query_of(view, rows, row), query_of(view, rows, row + 8)}, part, at,
      reinterpret_cast<uint4*>(shared) + first_row / warp_rows * Of::steps * warp_threads);

  Total<tiles> total;
  Sums<tiles> sums;
  sums.clear();
  float largest[2] = {lowest_score(), lowest_score()};
  for (std::int32_t block = first_block; block <= last_block; ++block) {
    const std::int32_t origin = block * softmax_keys;
    const std::int32_t number = 2 * (block - first_block);
    const bool busy = range.touches(origin);
    float scores[key_tiles][4];

    // --- Scores and weights ---
    const std::uint16_t* const k = ring.take(number);
    if (busy) {
#pragma unroll
      for (int i = 0; i < key_tiles * 4; ++i) scores[i / 4][i % 4] = 0.0f;
#pragma unroll
      for (int step = 0; step < Of::steps; ++step) {
        std::uint32_t query[4];
        queries.fragment(step, at, query);
        score_step<dtype>(scores, query, k + step * 16, Of::pitch, at);
      }
      finish_scores(view, rows, row, seen, origin, range.within(origin), at, scores);
      float most[2];
      largest_scores(scores, most);
      const float grown[2] = {fmaxf(largest[0], most[0]), fmaxf(largest[1], most[1])};
      sums.shrink({shrink_factor(largest[0], grown[0]), shrink_factor(largest[1], grown[1])});
      largest[0] = grown[0];
      largest[1] = grown[1];
      weigh(scores, largest);
    }

    // --- Values ---
    const std::uint16_t* const v = ring.take(number + 1) + part * Of::columns;
    if (busy) {
#pragma unroll
      for (int step = 0; step < softmax_keys / 16; ++step) {
        std::uint32_t weights[4];
        pack_weights<dtype>(scores, step, weights);
#pragma unroll
        for (int column = 0; column < tiles; column += 2) {
          value_step<dtype>(sums.o[column], sums.o[column + 1], weights,
                            v + step * 16 * Of::pitch + column * 8, Of::pitch, at);
        }
        multiply<dtype>(sums.l, weights, ones<dtype>(), ones<dtype>());
      }
    }

    // --- The end of a split ---
    if (block % split_blocks == split_blocks - 1 || block == last_block) {
      total.join(sums, largest);
      sums.clear();
      largest[0] = largest[1] = lowest_score();
    }
  }
  total.store(view, rows, row, part * Of::columns, at);
}

template <DType dtype, int dim>
void launch_tiles(Context& context, const AttentionView& view, unsigned groups, std::int32_t tokens,
                  std::int32_t few_rows) {
  using Of = Shape<dim>;
  const auto kernel = attention_tile_kernel<dtype, dim>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(Of::shared_bytes)),
        "attention");
  launch(kernel, dim3(token_tiles(view.sequences, tokens), groups), dim3(most_warps * warp_threads),
         Of::shared_bytes, context.stream, view, tokens, few_rows);
  check_launch("attention_tile");
}

template <DType dtype>
void launch_tiles_of(Context& context, const AttentionArgs& args, std::int32_t few_rows) {
  AttentionView view = view_of(context, args);
  const bool wide = view.head_dim > 128;
  const std::int32_t rows = most_warps * warp_rows / (wide ? Shape<256>::warps_together : 1);
  const unsigned groups = set_groups(context, args, rows, view);
  const std::int32_t together = most_heads_together(args);
  const std::int32_t tokens = together < rows ? rows / together : 1;
  const auto kernel = wide                 ? launch_tiles<dtype, 256>
                      : view.head_dim > 96 ? launch_tiles<dtype, 128>
                      : view.head_dim > 64 ? launch_tiles<dtype, 96>
                                           : launch_tiles<dtype, 64>;
  kernel(context, view, groups, tokens, few_rows);
}

}  // namespace

void attention_tiles(Context& context, const AttentionArgs& args, std::int32_t few_rows) {
  if (args.cache.dtype == DType::bf16) {
    launch_tiles_of<DType::bf16>(context, args, few_rows);
  } else {
    launch_tiles_of<DType::f16>(context, args, few_rows);
  }
}

}  // namespace trireme::cuda
