// What the attention kernels share: AttentionArgs as a kernel reads them, which keys a token sees,
// and which query heads read one K/V head.
#pragma once

#include <vector>

#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// Query heads of one K/V head: order[begin, begin + count) of AttentionView.
struct HeadGroup {
  std::int32_t kv_head;
  std::int32_t begin;
  std::int32_t count;
};

struct AttentionView {
  const float* q;
  float* out;
  std::int64_t ldq;
  std::int64_t ldo;
  const void* k;
  const void* v;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t head_stride;
  float scale;
  std::int32_t window;
  const float* distances;  ///< null, or [heads, distance_columns]
  std::int32_t reach;
  std::int32_t distance_columns;
  DeviceSequences sequences;
  const HeadGroup* groups;
  const std::int32_t* order;  ///< [heads], those of one K/V head side by side
};

/// All but `groups` and `order`.
AttentionView view_of(Context& context, const AttentionArgs& args);

/// Sets `groups` and `order` to groups of at most `most` heads; returns how many there are.
unsigned set_groups(Context& context, const AttentionArgs& args, std::int32_t most,
                    AttentionView& view);

/// The largest number of query heads that read one K/V head.
std::int32_t most_heads_together(const AttentionArgs& args);

void attention_plain(Context& context, const AttentionArgs& args);
/// Of bfloat16 and float16 caches. `with_tensor_cores` says where it can.
void attention_tensor(Context& context, const AttentionArgs& args);
bool with_tensor_cores(const DeviceTraits& traits, const KvCacheView& cache);

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

/// Keys [first, last] of a sequence.
struct KeyRange {
  std::int32_t first;
  std::int32_t last;
};

/// What tokens [begin, end) of a sequence see together.
__device__ inline KeyRange visible_keys(const AttentionView& view, const DeviceSequence& sequence,
                                        std::int32_t begin, std::int32_t end) {
  if (sequence.keys > 0) return {0, static_cast<std::int32_t>(sequence.keys) - 1};
  const auto position = static_cast<std::int32_t>(sequence.position_begin);
  const std::int32_t first = view.window > 0 ? position + begin - view.window + 1 : 0;
  return {first > 0 ? first : 0, position + end - 1};
}

/// What a score gets for its key's distance from the query at `position`.
__device__ inline float distance_of(const AttentionView& view, std::int32_t head,
                                    std::int32_t position, std::int32_t key) {
  std::int32_t distance = key - position;
  distance = distance < -view.reach ? -view.reach : distance;
  distance = distance > view.reach ? view.reach : distance;
  // Column reach + 31 is distance zero (ScoreDistances::column).
  return view.distances[std::int64_t{head} * view.distance_columns + view.reach + 31 + distance];
}

/// Tiles of `tokens` tokens of all sequences, numbered: sequence i has those from
/// first / tokens + i on, which leaves it at least as many numbers as it has tiles. `count` is zero
/// where the number is nobody's.
struct TokenTile {
  std::int32_t sequence;
  std::int32_t begin;
  std::int32_t count;
};
__device__ inline TokenTile token_tile(const DeviceSequences& sequences, std::int32_t tokens,
                                       std::int32_t number) {
  std::int32_t low = 0;
  std::int32_t high = sequences.count - 1;
  while (low < high) {
    const std::int32_t middle = (low + high + 1) / 2;
    const auto from = static_cast<std::int32_t>(sequences.list[middle].first) / tokens + middle;
    if (from <= number) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const DeviceSequence& sequence = sequences.list[low];
  const std::int32_t tile = number - (static_cast<std::int32_t>(sequence.first) / tokens + low);
  const std::int32_t begin = tile * tokens;
  const std::int32_t left = static_cast<std::int32_t>(sequence.rows) - begin;
  return {low, begin, left < 0 ? 0 : left < tokens ? left : tokens};
}

#endif

/// How many numbers `token_tile` knows.
inline unsigned token_tiles(const DeviceSequences& sequences, std::int32_t tokens) {
  return static_cast<unsigned>(sequences.rows / tokens + sequences.count);
}

}  // namespace trireme::cuda
