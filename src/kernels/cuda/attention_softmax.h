// The arithmetic of attention on tensor cores, one text for the kernels of many rows
// (attention_tiles.cu) and of few (attention_splits.cu), which therefore give the same bits.
//
//  1. q' = q * (scale * log2 e) in float32, rounded to the cache's dtype once.
//  2. A score is a chain of products of 16 dimensions, ascending, from zero. What `distances` says,
//     times log2 e, is added. Keys that the query does not see get -infinity.
//  3. Keys come in blocks of 64 at absolute positions, blocks in splits of four. Within a split the
//     softmax is online: m is the largest score so far, weights are 2^(score - m), rounded to the
//     cache's dtype; before a block is added, o and l are multiplied by 2^(old m - new m).
//  4. o is a chain of products of 16 keys, ascending; l, the weights' sum, is the same chain over
//     values of one: it is one more column of V.
//  5. Splits join in ascending order, from (o, m, l) = (0, -infinity, 0): see `Join`.
//  6. The result is (o + 0) / l. Adding a zero makes -0 a +0: the only bit in which a block or a
//     split that a query sees nothing of can show (o + 0 * v, where o is -0). All else in such a
//     block leaves (o, m, l) as they are, so it may be gone through or left out.
//
// That holds for finite values. An infinite or NaN value of an unseen key may reach those queries
// whose tile goes through the key's block, for 0 * infinity is NaN; an unseen key's K never shows.
#pragma once

#include "core/dtype.h"
#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

constexpr int softmax_keys = 64;  ///< of a block
constexpr int split_keys = 256;
constexpr int split_blocks = split_keys / softmax_keys;
constexpr int cache_block_keys = 32;
static_assert(cache_block_keys == KvCacheView::block_tokens);

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

constexpr unsigned whole_warp = 0xffffffffu;
constexpr int warp_threads = 32;
constexpr int warp_rows = 16;                ///< queries of one product
constexpr int key_tiles = softmax_keys / 8;  ///< products side by side that make a block's scores
constexpr float log2_of_e = 1.44269504f;

__device__ inline float lowest_score() { return __uint_as_float(0xff800000u); }

template <DType dtype>
__device__ inline std::uint32_t packed(float low, float high) {
  return dtype == DType::bf16 ? pack_bf16(low, high) : pack_f16(low, high);
}
template <DType dtype>
__device__ inline void multiply(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1) {
  const std::uint32_t b[2] = {b0, b1};
  if constexpr (dtype == DType::bf16) {
    mma_bf16(d, a, b);
  } else {
    mma_f16(d, a, b);
  }
}
/// Two ones.
template <DType dtype>
__device__ inline std::uint32_t ones() {
  return dtype == DType::bf16 ? 0x3f803f80u : 0x3c003c00u;
}

/// This lane's place in a warp's fragments.
struct Lane {
  int lane;
  int group;  ///< its rows are `group` and `group` + 8
  int quad;   ///< its columns 2 quad and 2 quad + 1 of every eight

  __device__ Lane()
      : lane(static_cast<int>(threadIdx.x) % warp_threads), group(lane / 4), quad(lane % 4) {}
};

/// A row of a tile.
struct RowView {
  std::int32_t head;   ///< -1: no such row
  std::int32_t token;  ///< of the sequence's, in this step
};

/// The rows of a tile: the group's heads of its first token, those of the second, ...
struct TileRows {
  const DeviceSequence& sequence;
  HeadGroup group;
  std::int32_t begin;  ///< its first token
  std::int32_t tokens;

  __device__ RowView row(const AttentionView& view, std::int32_t index) const {
    if (index >= tokens * group.count) return {-1, 0};
    return {view.order[group.begin + index % group.count], begin + index / group.count};
  }
  /// What row `index` sees: nothing if there is no such row.
  __device__ KeyRange keys(const AttentionView& view, std::int32_t index) const {
    if (index >= tokens * group.count) return {0, -1};
    const std::int32_t token = begin + index / group.count;
    return visible_keys(view, sequence, token, token + 1);
  }
};

__device__ inline const float* query_of(const AttentionView& view, const TileRows& rows,
                                        std::int32_t index) {
  const RowView row = rows.row(view, index);
  if (row.head < 0) return nullptr;
  return view.q + (rows.sequence.row_begin + row.token) * view.ldq +
         std::int64_t{row.head} * view.head_dim;
}

/// q' of dimensions [16 step, 16 step + 16) of two rows; null: zeros.
template <DType dtype>
__device__ inline void load_query(const AttentionView& view, const float* const (&q)[2], int step,
                                  const Lane& at, std::uint32_t (&a)[4]) {
  const float factor = view.scale * log2_of_e;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float* const row = q[i % 2];
    const int d = 16 * step + 8 * (i / 2) + 2 * at.quad;
    const float low = row != nullptr && d < view.head_dim ? row[d] : 0.0f;
    const float high = row != nullptr && d + 1 < view.head_dim ? row[d + 1] : 0.0f;
    a[i] = packed<dtype>(low * factor, high * factor);
  }
}

/// Adds 16 dimensions to the scores of 64 keys, which lie `pitch` elements apart in shared memory
/// from `keys` on.
template <DType dtype>
__device__ inline void score_step(float (&scores)[key_tiles][4], const std::uint32_t (&query)[4],
                                  const std::uint16_t* keys, int pitch, const Lane& at) {
  const std::uint16_t* row = keys + (at.lane / 16 * 8 + at.lane % 8) * pitch + at.lane / 8 % 2 * 8;
#pragma unroll
  for (int pair = 0; pair < key_tiles / 2; ++pair) {
    std::uint32_t b[4];
    load_matrices(b, row + pair * 16 * pitch);
    multiply<dtype>(scores[2 * pair], query, b[0], b[1]);
    multiply<dtype>(scores[2 * pair + 1], query, b[2], b[3]);
  }
}

/// Adds 16 keys to 16 columns of o, two products wide.
template <DType dtype>
__device__ inline void value_step(float (&left)[4], float (&right)[4],
                                  const std::uint32_t (&weights)[4], const std::uint16_t* values,
                                  int pitch, const Lane& at) {
  std::uint32_t b[4];
  load_matrices_transposed(b,
                           values + (at.lane / 8 % 2 * 8 + at.lane % 8) * pitch + at.lane / 16 * 8);
  multiply<dtype>(left, weights, b[0], b[1]);
  multiply<dtype>(right, weights, b[2], b[3]);
}

/// Distances and the mask, for the block of keys from `origin` on. The lane's rows are `first_row`
/// and eight below; they see `keys`.
__device__ inline void finish_scores(const AttentionView& view, const TileRows& rows,
                                     std::int32_t first_row, const KeyRange (&keys)[2],
                                     std::int32_t origin, bool all_visible, const Lane& at,
                                     float (&scores)[key_tiles][4]) {
  if (view.distances != nullptr) {
    const RowView both[2] = {rows.row(view, first_row), rows.row(view, first_row + 8)};
    const auto begin = static_cast<std::int32_t>(rows.sequence.position_begin);
#pragma unroll
    for (int i = 0; i < key_tiles * 4; ++i) {
      const RowView& row = both[i % 4 / 2];
      const std::int32_t key = origin + i / 4 * 8 + 2 * at.quad + i % 2;
      if (row.head >= 0) {
        scores[i / 4][i % 4] += distance_of(view, row.head, begin + row.token, key) * log2_of_e;
      }
    }
  }
  if (all_visible) return;
#pragma unroll
  for (int i = 0; i < key_tiles * 4; ++i) {
    const KeyRange& seen = keys[i % 4 / 2];
    const std::int32_t key = origin + i / 4 * 8 + 2 * at.quad + i % 2;
    if (key < seen.first || key > seen.last) scores[i / 4][i % 4] = lowest_score();
  }
}

/// The largest score of the block, NaN aside, for both rows.
__device__ inline void largest_scores(const float (&scores)[key_tiles][4], float (&largest)[2]) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    float most = lowest_score();
#pragma unroll
    for (int tile = 0; tile < key_tiles; ++tile) {
      most = fmaxf(most, fmaxf(scores[tile][2 * row], scores[tile][2 * row + 1]));
    }
    most = fmaxf(most, __shfl_xor_sync(whole_warp, most, 1));
    largest[row] = fmaxf(most, __shfl_xor_sync(whole_warp, most, 2));
  }
}

/// What is subtracted from scores: where all so far are -infinity, nothing may turn into
/// infinity - infinity.
__device__ inline float base_of(float largest) {
  return largest == lowest_score() ? 0.0f : largest;
}

/// By what o and l shrink when the largest score grows.
__device__ inline float shrink_factor(float old_largest, float largest) {
  return fast_exp2(old_largest - base_of(largest));
}

/// Scores become weights, not yet rounded.
__device__ inline void weigh(float (&scores)[key_tiles][4], const float (&largest)[2]) {
  const float base[2] = {base_of(largest[0]), base_of(largest[1])};
#pragma unroll
  for (int i = 0; i < key_tiles * 4; ++i) {
    scores[i / 4][i % 4] = fast_exp2(scores[i / 4][i % 4] - base[i % 4 / 2]);
  }
}

/// The weights of keys [16 step, 16 step + 16) as the left operand of the product with V.
template <DType dtype>
__device__ inline void pack_weights(const float (&weights)[key_tiles][4], int step,
                                    std::uint32_t (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float(&tile)[4] = weights[2 * step + i / 2];
    a[i] = packed<dtype>(tile[i % 2 * 2], tile[i % 2 * 2 + 1]);
  }
}

/// What a split has come to: `tiles` of eight columns of o, and l (in all of its columns).
template <int tiles>
struct Sums {
  float o[tiles][4];
  float l[4];

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < tiles * 4; ++i) o[i / 4][i % 4] = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) l[i] = 0.0f;
  }

  /// Most blocks have no new largest score; multiplying by one would change nothing.
  __device__ void shrink(const float (&factors)[2]) {
    if (__any_sync(whole_warp, factors[0] != 1.0f || factors[1] != 1.0f) == 0) return;
#pragma unroll
    for (int i = 0; i < tiles * 4; ++i) o[i / 4][i % 4] *= factors[i % 4 / 2];
#pragma unroll
    for (int i = 0; i < 4; ++i) l[i] *= factors[i / 2];
  }
};

/// How a split joins those before it: both are brought to the larger of their largest scores.
struct Join {
  float before;
  float split;

  /// `largest` becomes that of both.
  __device__ Join(float& largest, float split_largest) {
    const float both = fmaxf(largest, split_largest);
    before = shrink_factor(largest, both);
    split = shrink_factor(split_largest, both);
    largest = both;
  }
  __device__ float operator()(float sum, float split_sum) const {
    return fmaf(sum, before, split_sum * split);
  }
};

__device__ inline float result_of(float o, float l) { return (o + 0.0f) / l; }

/// All splits so far.
template <int tiles>
struct Total {
  float o[tiles][4];
  float l[2] = {0.0f, 0.0f};
  float largest[2] = {lowest_score(), lowest_score()};

  __device__ Total() {
#pragma unroll
    for (int i = 0; i < tiles * 4; ++i) o[i / 4][i % 4] = 0.0f;
  }

  __device__ void join(const Sums<tiles>& sums, const float (&split_largest)[2]) {
    const Join joins[2] = {Join(largest[0], split_largest[0]), Join(largest[1], split_largest[1])};
#pragma unroll
    for (int i = 0; i < tiles * 4; ++i) {
      o[i / 4][i % 4] = joins[i % 4 / 2](o[i / 4][i % 4], sums.o[i / 4][i % 4]);
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) l[row] = joins[row](l[row], sums.l[2 * row]);
  }

  /// The results of rows `first_row` and eight below. `column`: of the head, the first of these
  /// tiles'.
  __device__ void store(const AttentionView& view, const TileRows& rows, std::int32_t first_row,
                        int column, const Lane& at) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const RowView row = rows.row(view, first_row + 8 * half);
      if (row.head < 0) continue;
      float* const out = view.out + (rows.sequence.row_begin + row.token) * view.ldo +
                         std::int64_t{row.head} * view.head_dim;
#pragma unroll
      for (int i = 0; i < tiles * 2; ++i) {
        const int d = column + i / 2 * 8 + 2 * at.quad + i % 2;
        if (d < view.head_dim) out[d] = result_of(o[i / 2][2 * half + i % 2], l[half]);
      }
    }
  }
};

/// Where the keys or values of one K/V head lie, 32 at a time.
struct CacheBlocks {
  const std::int32_t* table;
  std::int32_t first;  ///< cache blocks [first, last] are seen
  std::int32_t last;
  std::int32_t kv_head;

  __device__ CacheBlocks(const DeviceSequence& sequence, const KeyRange& keys, std::int32_t head)
      : table(sequence.block_table),
        first(keys.first / cache_block_keys),
        last(keys.last / cache_block_keys),
        kv_head(head) {}

  /// Null where the block is not among those that are seen: zeros stand for it.
  __device__ const std::uint16_t* at(const AttentionView& view, const void* cache,
                                     std::int32_t block) const {
    if (block < first || block > last) return nullptr;
    return static_cast<const std::uint16_t*>(cache) +
           (std::int64_t{table[block]} * view.kv_heads + kv_head) * cache_block_keys *
               view.head_stride;
  }
};

#endif

}  // namespace trireme::cuda
