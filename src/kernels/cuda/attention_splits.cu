// A block of four warps takes up to 16 queries that share a K/V head through one split of 256 keys
// (or through all splits, where there are enough queries to keep the GPU busy).
//
// Each warp streams what it alone needs, in pieces of 64 keys by 32 columns: K of its own block of
// the split, then its own columns of V of all four blocks. So warps meet only to exchange largest
// scores and weights, and copies never stop. Partial results go to scratch memory, and a second
// kernel joins them.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_softmax.h"
#include "kernels/cuda/attention_splits.h"

namespace trireme::cuda {

namespace {

constexpr int warps = split_blocks;
constexpr int piece_columns = 32;
/// Elements between two keys of a piece: an odd multiple of 16 bytes, so that eight rows of a
/// matrix lie in different banks.
constexpr int piece_pitch = piece_columns + 8;
constexpr int piece_elements = softmax_keys * piece_pitch;
/// Of one warp's ring: 5 KB each, all but one under way.
constexpr int slots = 3;
constexpr std::size_t shared_bytes =
    std::size_t{warps} * slots * piece_elements * sizeof(std::uint16_t);

/// Of heads of up to `dim` dimensions; shorter ones are filled up with zeros.
template <int dim>
struct Shape {
  static constexpr int columns = dim <= 64 ? 16 : dim <= 128 ? 32 : 64;  ///< of o, a warp's
  static constexpr int key_pieces = dim / piece_columns;
  static constexpr int pieces_per_block = columns <= piece_columns ? 1 : columns / piece_columns;
  static constexpr int value_columns = columns / pieces_per_block;             ///< of a piece of V
  static constexpr int pieces = key_pieces + split_blocks * pieces_per_block;  ///< of a split
};

/// Partial results of a split: sums before division.
struct Partials {
  float2* largest_and_sum;  ///< [queries, splits]; null: none, a block takes all splits
  float* o;                 ///< [queries, splits, head_dim]
  std::int32_t splits;
  std::int32_t rows_each;  ///< queries are numbered [sequence, row below this, head]

  __device__ std::int64_t index(std::int32_t sequence, const RowView& row, std::int32_t heads,
                                std::int32_t split) const {
    const std::int64_t query = (std::int64_t{sequence} * rows_each + row.token) * heads + row.head;
    return query * splits + split;
  }
};

/// The pieces of one warp, numbered through all splits that it takes.
template <int dim>
struct Ring {
  using Of = Shape<dim>;

  const AttentionView& view;
  CacheBlocks blocks;
  std::int32_t first_split;
  std::int32_t pieces;
  int warp;
  std::uint16_t* memory;

  __device__ std::uint16_t* slot(std::int32_t piece) const {
    return memory + piece % slots * piece_elements;
  }

  template <int columns>
  __device__ void copy(const void* cache, std::int32_t block, int column, std::uint16_t* to,
                       const Lane& at) const {
    const std::uint16_t* const halves[2] = {blocks.at(view, cache, 2 * block),
                                            blocks.at(view, cache, 2 * block + 1)};
    constexpr int chunks = columns / 8;
#pragma unroll
    for (int i = 0; i < softmax_keys * chunks / warp_threads; ++i) {
      const int key = (i * warp_threads + at.lane) / chunks;
      const int chunk = at.lane % chunks;
      const std::uint16_t* const half = halves[i * warp_threads / chunks / cache_block_keys];
      const bool valid = half != nullptr && column + chunk * 8 < view.head_stride;
      const std::uint16_t* const from =
          valid ? half + key % cache_block_keys * view.head_stride + column + chunk * 8
                : static_cast<const std::uint16_t*>(cache);
      copy_async_16(to + key * piece_pitch + chunk * 8, from, valid);
    }
  }

  /// Starts the copy of a piece. There is a group of copies for each call, though it be empty.
  __device__ void fetch(std::int32_t piece, const Lane& at) const {
    if (piece < pieces) {
      const std::int32_t block = (first_split + piece / Of::pieces) * split_blocks;
      const int within = piece % Of::pieces;
      if (within < Of::key_pieces) {
        copy<piece_columns>(view.k, block + warp, within * piece_columns, slot(piece), at);
      } else {
        const int value = within - Of::key_pieces;
        const int column = warp * Of::columns + value % Of::pieces_per_block * Of::value_columns;
        copy<Of::value_columns>(view.v, block + value / Of::pieces_per_block, column, slot(piece),
                                at);
      }
    }
    copy_async_commit();
  }

  __device__ void begin(const Lane& at) const {
    for (std::int32_t piece = 0; piece < slots - 1; ++piece) fetch(piece, at);
  }

  /// A piece that has arrived; the one before it makes room.
  __device__ const std::uint16_t* take(std::int32_t piece, const Lane& at) const {
    copy_async_wait<slots - 2>();
    __syncwarp();
    fetch(piece + slots - 1, at);
    return slot(piece);
  }
};

template <int tiles>
__device__ void store_partial(const AttentionView& view, const Partials& partials,
                              std::int32_t sequence, std::int32_t split, const TileRows& rows,
                              const Sums<tiles>& sums, const float (&largest)[2], int column,
                              const Lane& at) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const RowView row = rows.row(view, at.group + 8 * half);
    if (row.head < 0) continue;
    const std::int64_t index = partials.index(sequence, row, view.heads, split);
    if (column == 0 && at.quad == 0) {
      partials.largest_and_sum[index] = make_float2(largest[half], sums.l[2 * half]);
    }
    float* const o = partials.o + index * view.head_dim;
#pragma unroll
    for (int i = 0; i < tiles * 2; ++i) {
      const int d = column + i / 2 * 8 + 2 * at.quad + i % 2;
      if (d < view.head_dim) o[d] = sums.o[i / 2][2 * half + i % 2];
    }
  }
}

template <DType dtype, int dim>
__global__ void __launch_bounds__(warps* warp_threads)
    attention_split_kernel(AttentionView view, std::int32_t few_rows, Partials partials) {
  using Of = Shape<dim>;
  constexpr int tiles = Of::columns / 8;
  constexpr int weight_steps = softmax_keys / 16;
  __shared__ float block_largest[split_blocks][warp_rows];
  __shared__ uint4 block_weights[split_blocks][weight_steps][warp_threads];

  // --- This block's queries and splits ---
  const auto sequence_number = static_cast<std::int32_t>(blockIdx.z);
  const DeviceSequence& sequence = view.sequences.list[sequence_number];
  const auto tokens = static_cast<std::int32_t>(sequence.rows);
  if (tokens == 0 || tokens > few_rows) return;
  const HeadGroup group = view.groups[blockIdx.y];
  const KeyRange keys = visible_keys(view, sequence, 0, tokens);
  std::int32_t first_split = keys.first / split_keys;
  std::int32_t last_split = keys.last / split_keys;
  if (partials.largest_and_sum != nullptr) {
    const auto split = static_cast<std::int32_t>(blockIdx.x);
    if (split < first_split || split > last_split) return;
    first_split = last_split = split;
  }

  const Lane at;
  const int warp = static_cast<int>(threadIdx.x) / warp_threads;
  const Ring<dim> ring{
      view,        CacheBlocks(sequence, keys, group.kv_head),
      first_split, (last_split - first_split + 1) * Of::pieces,
      warp,        dynamic_shared<std::uint16_t>() + warp * slots * piece_elements};
  ring.begin(at);

  const TileRows rows{sequence, group, 0, tokens};
  const KeyRange seen[2] = {rows.keys(view, at.group), rows.keys(view, at.group + 8)};
  const float* const q[2] = {query_of(view, rows, at.group), query_of(view, rows, at.group + 8)};
  std::uint32_t queries[dim / 16][4];
#pragma unroll
  for (int step = 0; step < dim / 16; ++step) load_query<dtype>(view, q, step, at, queries[step]);

  Total<tiles> total;
  std::int32_t piece = 0;
  for (std::int32_t split = first_split; split <= last_split; ++split) {
    // --- Scores of the warp's own block ---
    float scores[key_tiles][4];
#pragma unroll
    for (int i = 0; i < key_tiles * 4; ++i) scores[i / 4][i % 4] = 0.0f;
#pragma unroll
    for (int number = 0; number < Of::key_pieces; ++number) {
      const std::uint16_t* const k = ring.take(piece++, at);
      score_step<dtype>(scores, queries[2 * number], k, piece_pitch, at);
      score_step<dtype>(scores, queries[2 * number + 1], k + 16, piece_pitch, at);
    }
    finish_scores(view, rows, at.group, seen, split * split_keys + warp * softmax_keys, false, at,
                  scores);
    float most[2];
    largest_scores(scores, most);
    if (at.quad == 0) {
      block_largest[warp][at.group] = most[0];
      block_largest[warp][at.group + 8] = most[1];
    }
    __syncthreads();

    // --- Its weights: the largest score so far is that of the blocks up to this one ---
    float largest[2] = {lowest_score(), lowest_score()};
    for (int block = 0; block <= warp; ++block) {
      largest[0] = fmaxf(largest[0], block_largest[block][at.group]);
      largest[1] = fmaxf(largest[1], block_largest[block][at.group + 8]);
    }
    weigh(scores, largest);
#pragma unroll
    for (int step = 0; step < weight_steps; ++step) {
      std::uint32_t a[4];
      pack_weights<dtype>(scores, step, a);
      block_weights[warp][step][at.lane] = make_uint4(a[0], a[1], a[2], a[3]);
    }
    float block_most[split_blocks][2];
#pragma unroll
    for (int block = 0; block < split_blocks; ++block) {
      block_most[block][0] = block_largest[block][at.group];
      block_most[block][1] = block_largest[block][at.group + 8];
    }
    __syncthreads();

    // --- The warp's own columns of all four blocks ---
    Sums<tiles> sums;
    sums.clear();
    largest[0] = largest[1] = lowest_score();
#pragma unroll
    for (int block = 0; block < split_blocks; ++block) {
      const float grown[2] = {fmaxf(largest[0], block_most[block][0]),
                              fmaxf(largest[1], block_most[block][1])};
      sums.shrink({shrink_factor(largest[0], grown[0]), shrink_factor(largest[1], grown[1])});
      largest[0] = grown[0];
      largest[1] = grown[1];
#pragma unroll
      for (int part = 0; part < Of::pieces_per_block; ++part) {
        const std::uint16_t* const v = ring.take(piece++, at);
#pragma unroll
        for (int step = 0; step < weight_steps; ++step) {
          const uint4 four = block_weights[block][step][at.lane];
          const std::uint32_t a[4] = {four.x, four.y, four.z, four.w};
          constexpr int part_tiles = Of::value_columns / 8;
#pragma unroll
          for (int tile = 0; tile < part_tiles; tile += 2) {
            const int column = part * part_tiles + tile;
            value_step<dtype>(sums.o[column], sums.o[column + 1], a,
                              v + step * 16 * piece_pitch + tile * 8, piece_pitch, at);
          }
          if (part == 0) multiply<dtype>(sums.l, a, ones<dtype>(), ones<dtype>());
        }
      }
    }
    if (partials.largest_and_sum != nullptr) {
      store_partial(view, partials, sequence_number, split, rows, sums, largest, warp * Of::columns,
                    at);
      return;
    }
    total.join(sums, largest);
  }
  total.store(view, rows, at.group, warp * Of::columns, at);
}

constexpr int join_threads = 128;

/// One query: its splits in ascending order.
__global__ void __launch_bounds__(join_threads)
    attention_join_kernel(AttentionView view, std::int32_t few_rows, Partials partials) {
  const auto sequence_number = static_cast<std::int32_t>(blockIdx.y) / partials.rows_each;
  const auto token = static_cast<std::int32_t>(blockIdx.y) % partials.rows_each;
  const DeviceSequence& sequence = view.sequences.list[sequence_number];
  if (sequence.rows > few_rows || token >= sequence.rows) return;
  const KeyRange keys = visible_keys(view, sequence, token, token + 1);
  const RowView row{static_cast<std::int32_t>(blockIdx.x), token};
  const std::int64_t first = partials.index(sequence_number, row, view.heads, 0);
  float* const out =
      view.out + (sequence.row_begin + token) * view.ldo + std::int64_t{row.head} * view.head_dim;
  for (std::int32_t d = static_cast<std::int32_t>(threadIdx.x); d < view.head_dim;
       d += join_threads) {
    float largest = lowest_score();
    float o = 0.0f;
    float l = 0.0f;
#pragma unroll 4
    for (std::int32_t split = keys.first / split_keys; split <= keys.last / split_keys; ++split) {
      const float2 of_split = partials.largest_and_sum[first + split];
      const Join join(largest, of_split.x);
      l = join(l, of_split.y);
      o = join(o, partials.o[(first + split) * view.head_dim + d]);
    }
    out[d] = result_of(o, l);
  }
}

std::int64_t splits_of(std::int64_t most_keys) { return ceil_div(most_keys, split_keys); }

/// Of (o, m, l) of that many splits.
std::int64_t partial_bytes(std::int64_t splits, std::int64_t head_dim) {
  return splits * (head_dim + 2) * static_cast<std::int64_t>(sizeof(float));
}

/// Nothing where a block takes all splits.
Partials make_partials(Context& context, const AttentionView& view, std::int32_t rows_each,
                       std::int64_t most_scratch) {
  const std::int64_t splits = splits_of(view.sequences.most_keys);
  const std::int64_t count = std::int64_t{view.sequences.count} * rows_each * view.heads * splits;
  const std::int64_t bytes = partial_bytes(count, view.head_dim);
  Partials partials{nullptr, nullptr, static_cast<std::int32_t>(splits), rows_each};
  if (splits == 1 || bytes > most_scratch) return partials;
  partials.largest_and_sum =
      reinterpret_cast<float2*>(context.scratch(static_cast<std::size_t>(bytes)));
  partials.o = reinterpret_cast<float*>(partials.largest_and_sum + count);
  return partials;
}

template <DType dtype, int dim>
void launch_splits(Context& context, const AttentionView& view, unsigned groups,
                   std::int32_t few_rows, std::int64_t most_scratch) {
  const Partials partials = make_partials(context, view, few_rows, most_scratch);
  const bool joined = partials.largest_and_sum != nullptr;
  const auto kernel = attention_split_kernel<dtype, dim>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "attention");
  const auto sequences = static_cast<unsigned>(view.sequences.count);
  launch(kernel, dim3(joined ? static_cast<unsigned>(partials.splits) : 1u, groups, sequences),
         dim3(warps * warp_threads), shared_bytes, context.stream, view, few_rows, partials);
  check_launch("attention_split");
  if (!joined) return;
  launch(attention_join_kernel,
         dim3(static_cast<unsigned>(view.heads),
              sequences * static_cast<unsigned>(partials.rows_each)),
         dim3(join_threads), 0, context.stream, view, few_rows, partials);
  check_launch("attention_join");
}

template <DType dtype>
void launch_splits_of(Context& context, const AttentionArgs& args, std::int32_t few_rows,
                      std::int64_t most_scratch) {
  AttentionView view = view_of(context, args);
  const unsigned groups = set_groups(context, args, warp_rows, view);
  const auto kernel = view.head_dim > 128  ? launch_splits<dtype, 256>
                      : view.head_dim > 96 ? launch_splits<dtype, 128>
                      : view.head_dim > 64 ? launch_splits<dtype, 96>
                                           : launch_splits<dtype, 64>;
  kernel(context, view, groups, few_rows, most_scratch);
}

}  // namespace

void attention_splits(Context& context, const AttentionArgs& args, std::int32_t few_rows,
                      std::int64_t most_scratch) {
  if (args.cache.dtype == DType::bf16) {
    launch_splits_of<DType::bf16>(context, args, few_rows, most_scratch);
  } else {
    launch_splits_of<DType::f16>(context, args, few_rows, most_scratch);
  }
}

std::size_t attention_scratch_bytes(std::int64_t heads, std::int64_t head_dim, std::int64_t rows,
                                    std::int64_t most_keys) {
  const std::int64_t splits = splits_of(most_keys);
  if (splits <= 1) return 0;
  return static_cast<std::size_t>(
      std::min(partial_bytes(rows * heads * splits, head_dim), most_partial_bytes));
}

}  // namespace trireme::cuda
