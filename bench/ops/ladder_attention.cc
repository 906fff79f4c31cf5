// Attention of one query per head over a bfloat16 cache, from a plain loop to what is used.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "core/buffer.h"
#include "core/machine_peaks.h"
#include "ladder.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq")))

namespace trireme::bench {
namespace {

constexpr std::int64_t heads = 12;  // GPT-2's
constexpr std::int64_t head_dim = 64;
constexpr std::int64_t width = heads * head_dim;
constexpr std::int64_t length = 1024;
constexpr std::int64_t block = KvCacheView::block_tokens;
constexpr float scale = 0.125f;

/// Keys and values in the order of tokens, and in blocks as the program keeps them.
struct Operands {
  explicit Operands(const Ground& ground) {
    copies = copies_beyond_cache(2 * cache_bytes);
    for (Buffer* buffer : {&k_rows, &v_rows, &k_blocks, &v_blocks}) {
      *buffer = Buffer(copies * cache_bytes);
    }
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> k(length * width);
    std::vector<float> v(length * width);
    for (std::size_t i = 0; i < k.size(); ++i) {
      k_rows.as<std::uint16_t>()[i] = f32_to_bf16(k[i] = normal(random));
      v_rows.as<std::uint16_t>()[i] = f32_to_bf16(v[i] = normal(random));
    }
    for (std::int64_t i = 0; i < length / block; ++i) table.push_back(static_cast<int>(i));
    for (std::int64_t head = 0; head < heads; ++head) kv_head_of.push_back(static_cast<int>(head));
    for (float& value : q) value = normal(random);
    const SequenceSpan all{0, length, 0, table.data()};
    ground.backend.kv_write(ground.threads, {k.data(), v.data(), width, cache(0), {&all, 1}});
    for (Buffer* buffer : {&k_rows, &v_rows, &k_blocks, &v_blocks}) {
      for (std::size_t copy = 1; copy < copies; ++copy) {
        std::copy_n(buffer->data(), cache_bytes, buffer->data() + copy * cache_bytes);
      }
    }
  }

  KvCacheView cache(std::size_t copy) const {
    const auto at = [&](const Buffer& buffer) {
      return const_cast<std::byte*>(buffer.data()) + copy * cache_bytes;
    };
    return {at(k_blocks), at(v_blocks), heads, head_dim, DType::bf16};
  }
  const std::uint16_t* rows_of(const Buffer& buffer, std::size_t copy) const {
    return reinterpret_cast<const std::uint16_t*>(buffer.data() + copy * cache_bytes);
  }

  static constexpr std::size_t cache_bytes = length * width * 2;
  std::size_t copies;
  Buffer k_rows;  ///< [copies][length][heads][64]
  Buffer v_rows;
  Buffer k_blocks;  ///< [copies], as KvCacheView says
  Buffer v_blocks;
  std::vector<std::int32_t> table;
  std::vector<std::int32_t> kv_head_of;
  float q[width];
};

/// Turns scores into weights that add up to one.
void soften(std::vector<float>& scores) {
  const float most = *std::ranges::max_element(scores);
  float sum = 0;
  for (float& score : scores) sum += score = std::exp(score - most);
  for (float& score : scores) score /= sum;
}

void plain(const Operands& o, std::size_t copy, float* out) {
  const std::uint16_t* k = o.rows_of(o.k_rows, copy);
  const std::uint16_t* v = o.rows_of(o.v_rows, copy);
  for (std::int64_t at = 0; at < width; at += head_dim) {
    std::vector<float> p(length);
    for (std::int64_t j = 0; j < length; ++j) {
      float score = 0;
      for (std::int64_t d = at; d < at + head_dim; ++d)
        score += o.q[d] * bf16_to_f32(k[j * width + d]);
      p[static_cast<std::size_t>(j)] = score * scale;
    }
    soften(p);
    for (std::int64_t d = at; d < at + head_dim; ++d) {
      out[d] = 0;
      for (std::int64_t j = 0; j < length; ++j) {
        out[d] += p[static_cast<std::size_t>(j)] * bf16_to_f32(v[j * width + d]);
      }
    }
  }
}

AVX512 inline __m512 load_sixteen(const std::uint16_t* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/// Rows of tokens, a vector of dimensions at a time, all scores before all weights.
AVX512 void lanes_over_dimensions(const Operands& o, std::size_t copy, float* out) {
  const std::uint16_t* k = o.rows_of(o.k_rows, copy);
  const std::uint16_t* v = o.rows_of(o.v_rows, copy);
  for (std::int64_t at = 0; at < width; at += head_dim) {
    std::vector<float> p(length);
    for (std::int64_t j = 0; j < length; ++j) {
      __m512 sum = _mm512_setzero_ps();
      for (std::int64_t d = at; d < at + head_dim; d += 16) {
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(o.q + d), load_sixteen(k + j * width + d), sum);
      }
      p[static_cast<std::size_t>(j)] = _mm512_reduce_add_ps(sum) * scale;
    }
    soften(p);
    __m512 sums[head_dim / 16] = {};
    for (std::int64_t j = 0; j < length; ++j) {
      const __m512 weight = _mm512_set1_ps(p[static_cast<std::size_t>(j)]);
#pragma GCC unroll 4
      for (int i = 0; i < head_dim / 16; ++i) {
        sums[i] = _mm512_fmadd_ps(weight, load_sixteen(v + j * width + at + i * 16), sums[i]);
      }
    }
    for (int i = 0; i < head_dim / 16; ++i) _mm512_storeu_ps(out + at + i * 16, sums[i]);
  }
}

/// Pairs taken apart: sum += x[1] * the second of each, then x[0] * the first.
AVX512 inline __m512 add_pairs(__m512 sum, const std::uint16_t* w, float first, float second) {
  const __m512i pairs = _mm512_loadu_si512(w);
  const __m512i upper = _mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
  sum = _mm512_fmadd_ps(_mm512_set1_ps(second), _mm512_castsi512_ps(upper), sum);
  return _mm512_fmadd_ps(_mm512_set1_ps(first), _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
                         sum);
}

/// The program's blocks of 32 keys in float32, each against the largest score so far (Milakov and
/// Gimelshein, arXiv 1805.02867): one pass over the cache.
AVX512 void blocks_of_keys(const Operands& o, std::size_t copy, float* out) {
  constexpr std::int64_t elements = block * head_dim;  // of one head's block
  for (std::int64_t head = 0; head < heads; ++head) {
    const float* q = o.q + head * head_dim;
    __m512 sums[head_dim / 16] = {};
    float most = -INFINITY;
    float total = 0;
    for (std::int64_t i = 0; i < length / block; ++i) {
      const std::uint16_t* k = o.rows_of(o.k_blocks, copy) + (i * heads + head) * elements;
      const std::uint16_t* v = o.rows_of(o.v_blocks, copy) + (i * heads + head) * elements;
      __m512 low = _mm512_setzero_ps();
      __m512 high = _mm512_setzero_ps();
      for (std::int64_t d = 0; d < head_dim; d += 2, k += 2 * block) {
        low = add_pairs(low, k, q[d] * scale, q[d + 1] * scale);
        high = add_pairs(high, k + 32, q[d] * scale, q[d + 1] * scale);
      }
      float p[block];
      _mm512_storeu_ps(p, low);
      _mm512_storeu_ps(p + 16, high);
      const float before = most;
      most = std::max(most, *std::ranges::max_element(p));
      const float correction = std::exp(before - most);
      total *= correction;
      for (float& score : p) total += score = std::exp(score - most);
      for (__m512& sum : sums) sum = _mm512_mul_ps(sum, _mm512_set1_ps(correction));
      for (std::int64_t j = 0; j < block; j += 2, v += 2 * head_dim) {
#pragma GCC unroll 4
        for (int c = 0; c < head_dim / 16; ++c) {
          sums[c] = add_pairs(sums[c], v + 32 * c, p[j], p[j + 1]);
        }
      }
    }
    for (int c = 0; c < head_dim / 16; ++c) {
      _mm512_storeu_ps(out + head * head_dim + c * 16,
                       _mm512_div_ps(sums[c], _mm512_set1_ps(total)));
    }
  }
}

void used(const Ground& ground, const Operands& o, std::size_t copy, float* out) {
  const SequenceSpan last{0, 1, length - 1, o.table.data()};
  ground.backend.attention(
      ground.threads,
      {o.q, width, out, width, heads, o.kv_head_of, o.cache(copy), scale, 0, {}, {&last, 1}});
}

}  // namespace

Ladder one_query(const Ground& ground) {
  const auto o = std::make_shared<Operands>(ground);
  const double peak = measure_math_peak(ground.threads, widest_float_unit(), PeakClock::processor);
  // The program rounds queries and weights to bfloat16; the simpler ones do not.
  Ladder ladder{"attention, one query, 12 heads, 1024 keys",
                width,
                o->copies,
                4.0 * length * width,
                2.0 * Operands::cache_bytes,
                peak,
                2e-2,
                {}};
  const auto add = [&](const char* name, auto function) {
    ladder.rungs.push_back({name, [=](std::size_t copy, float* y) { function(*o, copy, y); }});
  };
  add("plain loop", plain);
  if (__builtin_cpu_supports("avx512dq")) {
    add("rows of tokens, lanes over dimensions", lanes_over_dimensions);
    add("blocks of keys, online softmax, float32", blocks_of_keys);
  }
  ladder.rungs.push_back(
      {"used: blocks of pairs", [=](std::size_t copy, float* y) { used(ground, *o, copy, y); }});
  return ladder;
}

}  // namespace trireme::bench
