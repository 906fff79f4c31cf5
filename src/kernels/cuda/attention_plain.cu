// Attention without tensor cores: the reference backend's operations in the reference's order, so
// float32 and float16 caches give its bits. So do bfloat16 caches, pairs and flushed denormals
// included, but for results between 2^-126 - 2^-150 and 2^-126 - 2^-151, which count as 2^-126 here
// and as zero there.
//
// A block of threads takes some queries that share a K/V head through all blocks of 32 keys that
// they see, K and then V of a block lying in shared memory as float32. A warp has several queries:
// its lanes are keys for scores and dimensions for values.
#include <algorithm>

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/elementary.h"
#include "kernels/cuda/elements.h"

namespace trireme::cuda {

namespace {

constexpr int block_keys = 32;
static_assert(block_keys == KvCacheView::block_tokens);
constexpr int warp_threads = 32;
constexpr int warps = 8;
constexpr unsigned whole_warp = 0xffffffffu;

__device__ float lowest_score() { return __uint_as_float(0xff800000u); }

/// Keys [begin, end) of a block.
struct Visible {
  int begin;
  int end;

  __device__ bool has(int key) const { return key >= begin && key < end; }
};

__device__ float largest_of_warp(float value) {
#pragma unroll
  for (int lanes = warp_threads / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(whole_warp, value, lanes));
  }
  return value;
}

/// float32 and float16 caches. One object is a query's state; every lane has it.
template <DType dtype>
struct Plain {
  using Cached = Element<dtype>;

  float largest = lowest_score();
  float sum = 0.0f;

  static __device__ float query(float q, float scale) { return q * scale; }
  static __device__ float key_or_value(typename Cached::Stored stored) {
    return Cached::decode(stored);
  }

  /// Two dimensions on: `score` is the lane's key's.
  static __device__ float step(float score, float q0, float k0, float q1, float k1) {
    return fmaf(q1, k1, fmaf(q0, k0, score));
  }
  static __device__ float last_step(float score, float q, float k) { return fmaf(q, k, score); }
  static __device__ float moved(float score, float distance) { return score + distance; }

  /// From the lane's score to its weight; `factor` is what o shrinks by first.
  __device__ float weigh(float score, bool seen, float& factor) {
    const float most = fmaxf(largest, largest_of_warp(seen ? score : lowest_score()));
    // Where every score so far is -inf nothing may turn into inf - inf.
    const float base = most == lowest_score() ? 0.0f : most;
    factor = exp_of(largest - base);
    const float weight = seen ? exp_of(score - base) : 0.0f;
    // Keys j and j + 16, then the lanes' tree.
    float block_sum = weight;
#pragma unroll
    for (int lanes = warp_threads / 2; lanes > 0; lanes /= 2) {
      block_sum += __shfl_xor_sync(whole_warp, block_sum, lanes);
    }
    sum = sum * factor + block_sum;
    largest = most;
    return weight;
  }
  static __device__ float shrunk(float o, float factor) { return o * factor; }

  /// Two keys on; `w` are their weights.
  static __device__ float add(float o, const Visible& seen, int key, float w0, float v0, float w1,
                              float v1) {
    if (seen.has(key)) o = fmaf(w0, v0, o);
    if (seen.has(key + 1)) o = fmaf(w1, v1, o);
    return o;
  }
  __device__ float total() const { return sum; }
};

__device__ float flushed(float value) {
  const std::uint32_t bits = __float_as_uint(value);
  return (bits & 0x7f800000u) == 0 ? __uint_as_float(bits & 0x80000000u) : value;
}

/// bfloat16 caches: steps 1 to 6 of AttentionArgs. What is kept is flushed already.
struct Pairs {
  using Cached = Element<DType::bf16>;

  float base = softmax_begin;
  float sum = 0.0f;  ///< lane i / 2 of the sixteen

  static __device__ float query(float q, float scale) {
    return key_or_value(Cached::encode(q * (scale * log2_e)));
  }
  static __device__ float key_or_value(std::uint16_t stored) {
    return flushed(Cached::decode(stored));
  }

  static __device__ float multiply_add(float a, float b, float c) { return flushed(fmaf(a, b, c)); }
  static __device__ float step(float score, float q0, float k0, float q1, float k1) {
    return multiply_add(q0, k0, multiply_add(q1, k1, score));
  }
  static __device__ float last_step(float score, float q, float k) {
    return step(score, q, k, 0.0f, 0.0f);
  }
  static __device__ float moved(float score, float distance) {
    return flushed(score + flushed(flushed(distance) * log2_e));
  }

  __device__ float weigh(float score, bool seen, float& factor) {
    const float most = largest_of_warp(seen ? score : lowest_score());
    factor = 1.0f;
    if (most > base + softmax_headroom) {
      factor = exp2_of(flushed(base - most));
      sum = flushed(sum * flushed(factor));
      base = most;
    }
    float weight = 0.0f;
    if (seen) weight = Cached::decode(Cached::encode(exp2_of(flushed(score - flushed(base)))));
    const float other = __shfl_xor_sync(whole_warp, weight, 1);
    const bool even = threadIdx.x % 2 == 0;
    sum = flushed((even ? weight : other) + flushed((even ? other : weight) + sum));
    return weight;
  }
  static __device__ float shrunk(float o, float factor) {
    return factor == 1.0f ? o : flushed(o * flushed(factor));
  }

  static __device__ float add(float o, const Visible& seen, int key, float w0, float v0, float w1,
                              float v1) {
    const bool first = seen.has(key);
    const bool second = seen.has(key + 1);
    if (!first && !second) return o;
    o = multiply_add(w1, second ? v1 : 0.0f, o);
    return multiply_add(w0, first ? v0 : 0.0f, o);
  }
  __device__ float total() const {
    float all = sum;
#pragma unroll
    for (int lanes = warp_threads / 2; lanes > 1; lanes /= 2) {
      all += __shfl_xor_sync(whole_warp, all, lanes);
    }
    return all;
  }
};

template <DType dtype>
struct ArithmeticOf {
  using Type = Plain<dtype>;
};
template <>
struct ArithmeticOf<DType::bf16> {
  using Type = Pairs;
};

/// A warp's query number `slot`.
struct Query {
  std::int32_t head;  ///< -1: no such query
  std::int32_t token;
  KeyRange keys;

  __device__ Visible within(std::int32_t origin) const {
    const std::int32_t begin = keys.first - origin;
    const std::int32_t end = keys.last + 1 - origin;
    return {begin > 0 ? begin : 0, end < block_keys ? end : block_keys};
  }
};

__device__ std::int64_t row_of(const DeviceSequence& sequence, const Query& query) {
  return sequence.row_begin + query.token;
}

__device__ int key_pitch(int head_dim) { return head_dim | 1; }  // odd: no two keys in one bank
__device__ int query_pitch(int head_dim) { return (head_dim + 1) / 2 * 2; }

/// Brings one K/V head of one cache block to shared memory.
template <DType dtype>
__device__ void load_block(const AttentionView& view, const void* cache, std::int32_t block,
                           std::int32_t kv_head, float* to) {
  using Arithmetic = typename ArithmeticOf<dtype>::Type;
  const auto* const from =
      static_cast<const typename Element<dtype>::Stored*>(cache) +
      (std::int64_t{block} * view.kv_heads + kv_head) * block_keys * view.head_stride;
  const int pitch = key_pitch(view.head_dim);
  const int lane = static_cast<int>(threadIdx.x) % warp_threads;
  for (int key = static_cast<int>(threadIdx.x) / warp_threads; key < block_keys; key += warps) {
    for (int d = lane; d < view.head_dim; d += warp_threads) {
      to[key * pitch + d] = Arithmetic::key_or_value(from[key * view.head_stride + d]);
    }
  }
}

/// `dims`: dimensions of a lane, up to 32 times as many of a head; `slots`: queries of a warp.
template <DType dtype, int dims, int slots>
__global__ void __launch_bounds__(warps* warp_threads)
    attention_plain_kernel(AttentionView view, std::int32_t tokens_per_tile) {
  using Arithmetic = typename ArithmeticOf<dtype>::Type;

  // --- This block's queries ---
  const TokenTile tile = token_tile(view.sequences, tokens_per_tile,
                                    static_cast<std::int32_t>(gridDim.x - 1 - blockIdx.x));
  if (tile.count == 0) return;
  const DeviceSequence& sequence = view.sequences.list[tile.sequence];
  const HeadGroup group = view.groups[blockIdx.y];
  const KeyRange keys = visible_keys(view, sequence, tile.begin, tile.begin + tile.count);
  const int dim = view.head_dim;
  const int pitch = key_pitch(dim);

  // --- This warp's: every eighth ---
  const int warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int lane = static_cast<int>(threadIdx.x) % warp_threads;
  float* const shared_queries = dynamic_shared<float>() + warp * slots * query_pitch(dim);
  float* const shared_keys = dynamic_shared<float>() + warps * slots * query_pitch(dim);
  Query queries[slots];
  Arithmetic states[slots];
  float o[slots][dims];
#pragma unroll
  for (int slot = 0; slot < slots; ++slot) {
    const int index = slot * warps + warp;
    queries[slot] = {-1, 0, {0, -1}};
    if (index < tile.count * group.count) {
      const std::int32_t token = tile.begin + index / group.count;
      queries[slot] = {view.order[group.begin + index % group.count], token,
                       visible_keys(view, sequence, token, token + 1)};
    }
    const Query& query = queries[slot];
    const float* const q = view.q + row_of(sequence, query) * view.ldq +
                           (query.head < 0 ? 0 : std::int64_t{query.head} * dim);
    for (int d = lane; d < query_pitch(dim); d += warp_threads) {
      shared_queries[slot * query_pitch(dim) + d] =
          query.head >= 0 && d < dim ? Arithmetic::query(q[d], view.scale) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < dims; ++i) o[slot][i] = 0.0f;
  }

  for (std::int32_t block = keys.first / block_keys; block <= keys.last / block_keys; ++block) {
    const std::int32_t origin = block * block_keys;
    float weights[slots];

    // --- Scores, a lane per key ---
    __syncthreads();
    load_block<dtype>(view, view.k, sequence.block_table[block], group.kv_head, shared_keys);
    __syncthreads();
#pragma unroll
    for (int slot = 0; slot < slots; ++slot) weights[slot] = 0.0f;
    const float* const k = shared_keys + lane * pitch;
    for (int d = 0; d + 1 < dim; d += 2) {
      const float k0 = k[d];
      const float k1 = k[d + 1];
#pragma unroll
      for (int slot = 0; slot < slots; ++slot) {
        const float* const q = shared_queries + slot * query_pitch(dim) + d;
        weights[slot] = Arithmetic::step(weights[slot], q[0], k0, q[1], k1);
      }
    }
    if (dim % 2 != 0) {
#pragma unroll
      for (int slot = 0; slot < slots; ++slot) {
        const float q = shared_queries[slot * query_pitch(dim) + dim - 1];
        weights[slot] = Arithmetic::last_step(weights[slot], q, k[dim - 1]);
      }
    }

    // --- Weights ---
#pragma unroll
    for (int slot = 0; slot < slots; ++slot) {
      const Query& query = queries[slot];
      const Visible seen = query.within(origin);
      if (seen.begin >= seen.end) continue;
      if (view.distances != nullptr) {
        const auto position = static_cast<std::int32_t>(sequence.position_begin) + query.token;
        weights[slot] = Arithmetic::moved(weights[slot],
                                          distance_of(view, query.head, position, origin + lane));
      }
      float factor = 1.0f;
      weights[slot] = states[slot].weigh(weights[slot], seen.has(lane), factor);
#pragma unroll
      for (int i = 0; i < dims; ++i) o[slot][i] = Arithmetic::shrunk(o[slot][i], factor);
    }

    // --- Values, a lane per dimension ---
    __syncthreads();
    load_block<dtype>(view, view.v, sequence.block_table[block], group.kv_head, shared_keys);
    __syncthreads();
    for (int key = 0; key < block_keys; key += 2) {
      float w[slots][2];
#pragma unroll
      for (int slot = 0; slot < slots; ++slot) {
        w[slot][0] = __shfl_sync(whole_warp, weights[slot], key);
        w[slot][1] = __shfl_sync(whole_warp, weights[slot], key + 1);
      }
#pragma unroll
      for (int i = 0; i < dims; ++i) {
        const int d = i * warp_threads + lane;
        if (d >= dim) continue;
        const float v0 = shared_keys[key * pitch + d];
        const float v1 = shared_keys[(key + 1) * pitch + d];
#pragma unroll
        for (int slot = 0; slot < slots; ++slot) {
          o[slot][i] = Arithmetic::add(o[slot][i], queries[slot].within(origin), key, w[slot][0],
                                       v0, w[slot][1], v1);
        }
      }
    }
  }

  // --- Results ---
#pragma unroll
  for (int slot = 0; slot < slots; ++slot) {
    const Query& query = queries[slot];
    if (query.head < 0) continue;
    const float total = states[slot].total();
    float* const out =
        view.out + row_of(sequence, query) * view.ldo + std::int64_t{query.head} * dim;
#pragma unroll
    for (int i = 0; i < dims; ++i) {
      const int d = i * warp_threads + lane;
      if (d < dim) out[d] = o[slot][i] / total;
    }
  }
}

template <DType dtype, int dims, int slots>
void launch_plain(Context& context, const AttentionArgs& args) {
  AttentionView view = view_of(context, args);
  constexpr std::int32_t rows = warps * slots;
  const unsigned groups = set_groups(context, args, rows, view);
  const std::int32_t tokens = std::max(1, rows / most_heads_together(args));
  const auto shared_bytes = [](std::int64_t head_dim) {
    const std::int64_t floats = rows * round_up(head_dim, 2) + block_keys * (head_dim | 1);
    return static_cast<std::size_t>(floats) * sizeof(float);
  };
  const auto kernel = attention_plain_kernel<dtype, dims, slots>;
  // Always the same: another model's recorded launches, and other threads', count on it too.
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes(dims * warp_threads))),
        "attention");
  launch(kernel, dim3(token_tiles(view.sequences, tokens), groups), dim3(warps * warp_threads),
         shared_bytes(view.head_dim), context.stream, view, tokens);
  check_launch("attention_plain");
}

/// Few queries are shared out one to a warp.
template <DType dtype>
void launch_plain_of(Context& context, const AttentionArgs& args) {
  std::int64_t most_rows = 0;
  for (const SequenceSpan& sequence : args.sequences) {
    most_rows = std::max(most_rows, sequence.rows);
  }
  const bool few = most_rows * most_heads_together(args) <= warps;
  const bool wide = args.cache.head_dim > 128;
  const auto launch_kernel = wide ? (few ? launch_plain<dtype, 8, 1> : launch_plain<dtype, 8, 2>)
                                  : (few ? launch_plain<dtype, 4, 1> : launch_plain<dtype, 4, 4>);
  launch_kernel(context, args);
}

}  // namespace

void attention_plain(Context& context, const AttentionArgs& args) {
  switch (args.cache.dtype) {
    case DType::f32:
      return launch_plain_of<DType::f32>(context, args);
    case DType::bf16:
      return launch_plain_of<DType::bf16>(context, args);
    default:
      return launch_plain_of<DType::f16>(context, args);
  }
}

}  // namespace trireme::cuda
