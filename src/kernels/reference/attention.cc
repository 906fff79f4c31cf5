// Attention by online softmax over blocks of 32 keys at absolute positions (Milakov and Gimelshein,
// arXiv 1805.02867), one query and head at a time.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/flushing.h"
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/scalar.h"

namespace trireme {

namespace {

constexpr std::int64_t block_tokens = KvCacheView::block_tokens;

float cache_value(const std::byte* data, DType dtype, std::int64_t index) {
  if (dtype == DType::f32) return reinterpret_cast<const float*>(data)[index];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(data)[index];
  return dtype == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

float cached_k(const KvCacheView& cache, std::int64_t offset, std::int64_t slot, std::int64_t d) {
  return cache_value(cache.k, cache.dtype, offset + cache.k_index(slot, d));
}

float cached_v(const KvCacheView& cache, std::int64_t offset, std::int64_t slot, std::int64_t d) {
  return cache_value(cache.v, cache.dtype, offset + cache.v_index(slot, d));
}

/// ScoreDistances for one query.
struct Distances {
  const ScoreDistances& all;
  std::int64_t head;
  std::int64_t query;

  float at(std::int64_t key) const {
    const std::int64_t distance = std::clamp(key - query, -all.reach, all.reach);
    return all.table[head * all.columns() + all.column(distance)];
  }
};

/// One query of one head on its way through the blocks of a float32 or float16 cache.
class Query {
 public:
  Query(const AttentionArgs& args, const float* q, const Distances& distances)
      : args_(args), distances_(distances) {
    for (std::int64_t d = 0; d < args.cache.head_dim; ++d) q_.push_back(q[d] * args.scale);
    o_.resize(q_.size());
  }

  /// Takes in the block of keys from `origin` on: `offset` is its K/V head's first element, keys
  /// [begin, end) are visible.
  void attend(std::int64_t offset, std::int64_t origin, std::int64_t begin, std::int64_t end) {
    float p[block_tokens] = {};
    float max = max_;
    for (std::int64_t j = begin; j < end; ++j) {
      p[j] = score(offset, j);
      if (args_.distances.table != nullptr) p[j] += distances_.at(origin + j);
      max = reference::larger(p[j], max);
    }
    // Where every score so far is -inf nothing may turn into inf - inf.
    const float base = max == lowest ? 0.0f : max;
    const float correction = reference::exp_of(max_ - base);
    for (std::int64_t j = begin; j < end; ++j) p[j] = reference::exp_of(p[j] - base);
    sum_ = sum_ * correction + block_sum(p);
    for (std::int64_t d = 0; d < args_.cache.head_dim; ++d) {
      float& o = o_[static_cast<std::size_t>(d)];
      o *= correction;
      for (std::int64_t j = begin; j < end; ++j)
        o = std::fma(p[j], cached_v(args_.cache, offset, j, d), o);
    }
    max_ = max;
  }

  void store(float* out) const {
    for (const float o : o_) *out++ = o / sum_;
  }

 private:
  static constexpr float lowest = -std::numeric_limits<float>::infinity();

  float score(std::int64_t offset, std::int64_t key) const {
    float sum = 0.0f;
    for (std::int64_t d = 0; d < args_.cache.head_dim; ++d) {
      sum = std::fma(q_[static_cast<std::size_t>(d)], cached_k(args_.cache, offset, key, d), sum);
    }
    return sum;
  }

  /// Keys j and j + 16, then the lanes' tree.
  static float block_sum(const float* p) {
    reference::Lanes lanes;
    for (int i = 0; i < reference::Lanes::count; ++i) {
      lanes.lane[i] = p[i] + p[i + reference::Lanes::count];
    }
    return lanes.sum();
  }

  const AttentionArgs& args_;
  Distances distances_;
  std::vector<float> q_;
  std::vector<float> o_;
  float max_ = lowest;
  float sum_ = 0.0f;
};

/// The same over a bfloat16 cache: steps 1 to 6 of AttentionArgs.
class PairsQuery {
 public:
  PairsQuery(const AttentionArgs& args, const float* q, const Distances& distances)
      : args_(args), distances_(distances) {
    const float scale = args.scale * reference::log2_e;
    for (std::int64_t d = 0; d < args.cache.head_dim; ++d) {
      q_.push_back(bf16_to_f32(f32_to_bf16(q[d] * scale)));
    }
    o_.resize(q_.size());
  }

  void attend(std::int64_t offset, std::int64_t origin, std::int64_t begin, std::int64_t end) {
    float p[block_tokens] = {};
    float most = lowest;
    for (std::int64_t j = begin; j < end; ++j) {
      p[j] = score(offset, j);
      if (args_.distances.table != nullptr) {
        const float add = multiply_flushing(distances_.at(origin + j), reference::log2_e);
        p[j] = add_flushing(p[j], add);
      }
      most = reference::larger(p[j], most);
    }
    if (most > base_ + reference::softmax_headroom) raise(most);
    for (std::int64_t j = begin; j < end; ++j) p[j] = weight(p[j]);
    for (std::int64_t j = 0; j < block_tokens; j += 2) {
      float& lane = sum_.lane[j / 2];
      lane = add_flushing(p[j], add_flushing(p[j + 1], lane));
    }
    for (std::int64_t d = 0; d < args_.cache.head_dim; ++d) {
      float& o = o_[static_cast<std::size_t>(d)];
      for (std::int64_t j = begin / 2 * 2; j < end; j += 2) {
        const bool first = j >= begin;
        const bool second = j + 1 < end;
        o = fma_flushing(p[j + 1], second ? cached_v(args_.cache, offset, j + 1, d) : 0.0f, o);
        o = fma_flushing(p[j], first ? cached_v(args_.cache, offset, j, d) : 0.0f, o);
      }
    }
  }

  void store(float* out) {
    const float sum = sum_.sum();
    for (const float o : o_) *out++ = o / sum;
  }

 private:
  static constexpr float lowest = -std::numeric_limits<float>::infinity();

  float score(std::int64_t offset, std::int64_t key) const {
    const std::int64_t dim = args_.cache.head_dim;
    float sum = 0.0f;
    for (std::int64_t d = 0; d < dim; d += 2) {
      const bool paired = d + 1 < dim;
      sum = fma_flushing(paired ? q_[static_cast<std::size_t>(d + 1)] : 0.0f,
                         paired ? cached_k(args_.cache, offset, key, d + 1) : 0.0f, sum);
      sum =
          fma_flushing(q_[static_cast<std::size_t>(d)], cached_k(args_.cache, offset, key, d), sum);
    }
    return sum;
  }

  float weight(float score) const {
    return bf16_to_f32(f32_to_bf16(reference::exp2_of(add_flushing(score, -base_))));
  }

  void raise(float score) {
    const float factor = reference::exp2_of(add_flushing(base_, -score));
    for (float& lane : sum_.lane) lane = multiply_flushing(lane, factor);
    for (float& o : o_) o = multiply_flushing(o, factor);
    base_ = score;
  }

  const AttentionArgs& args_;
  Distances distances_;
  std::vector<float> q_;
  std::vector<float> o_;
  float base_ = reference::softmax_begin;
  reference::Lanes sum_;
};

template <typename Query>
void attend_row(const AttentionArgs& args, const SequenceSpan& sequence, std::int64_t row,
                std::int64_t head) {
  const std::int64_t column = head * args.cache.head_dim;
  const std::int64_t position = sequence.position_begin + row;
  const bool causal = sequence.keys == 0;
  const std::int64_t last = causal ? position : sequence.keys - 1;
  const std::int64_t first =
      causal && args.window > 0 ? std::max<std::int64_t>(0, last - args.window + 1) : 0;
  const std::int64_t head_offset =
      args.kv_head_of[static_cast<std::size_t>(head)] * args.cache.head_stride() * block_tokens;
  Query query(args, args.q + (sequence.row_begin + row) * args.ldq + column,
              Distances{args.distances, head, position});
  for (std::int64_t block = first / block_tokens; block <= last / block_tokens; ++block) {
    const std::int64_t origin = block * block_tokens;
    query.attend(sequence.block_table[block] * args.cache.block_elements() + head_offset, origin,
                 std::max(first - origin, std::int64_t{0}),
                 std::min(last + 1 - origin, block_tokens));
  }
  query.store(args.out + (sequence.row_begin + row) * args.ldo + column);
}

}  // namespace

void ReferenceBackend::attention(ThreadPool& threads, const AttentionArgs& args) const {
  for (const SequenceSpan& sequence : args.sequences) {
    threads.parallel_for(sequence.rows * args.heads, [&](std::int64_t part) {
      const auto attend = args.cache.in_pairs() ? attend_row<PairsQuery> : attend_row<Query>;
      attend(args, sequence, part / args.heads, part % args.heads);
    });
  }
}

}  // namespace trireme
