// A random bf16 product for the AMX tests, and what it must give: the kernels' fixed order of
// operations written down once more, naively, and the same sum in double.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/error.h"
#include "kernels/cpu/amx_linear.h"
#include "kernels/packed.h"

namespace trireme::amx {

inline float flushed(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}
inline float madd(float a, float b, float c) {
  return flushed(std::fma(flushed(a), flushed(b), flushed(c)));
}
inline float plus(float a, float b) { return flushed(flushed(a) + flushed(b)); }

struct Problem {
  MatrixShape shape;
  std::int64_t m = 0;
  std::int64_t ldx = 0;
  std::vector<float> x;          ///< [m, ldx]
  std::vector<std::uint16_t> w;  ///< [n, k]
  std::vector<float> bias;       ///< [n]
  Buffer packed_w;

  /// Normally distributed values, now and then an outlier or a denormal.
  Problem(std::int64_t rows, std::int64_t n, std::vector<std::int64_t> k_shards, unsigned seed = 1)
      : shape{n, std::move(k_shards), DType::bf16}, m(rows), ldx(shape.k() + 3) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto value = [&] {
      const auto die = random() % 256;
      const float v = normal(random);
      return die == 0 ? v * 1e4f : die == 1 ? v * 1e-39f : v;
    };
    x.resize(static_cast<std::size_t>(m * ldx));
    for (float& v : x) v = value();
    w.resize(static_cast<std::size_t>(n * shape.k()));
    for (std::uint16_t& v : w) v = f32_to_bf16(value());
    bias.resize(static_cast<std::size_t>(n));
    for (float& v : bias) v = value();
    pack();
  }

  void pack() {
    packed_w = Buffer(packed::matrix_bytes(shape));
    for (std::int64_t panel = 0; panel < packed::panel_count(shape); ++panel) {
      packed::pack_panel(
          shape, panel,
          reinterpret_cast<const std::byte*>(w.data() + panel * packed::panel_rows * shape.k()),
          packed_w.data() + static_cast<std::size_t>(panel) * packed::panel_bytes(shape));
    }
  }

  Range all_shards() const { return {0, std::ssize(shape.k_shards)}; }

  Blocking blocking(std::int64_t rows, int threads = 1) const {
    const auto steps = static_cast<std::int64_t>(packed::panel_bytes(shape)) / step_bytes;
    return choose_blocking(rows, packed::panel_count(shape), steps, threads);
  }

  /// Rows [begin, end) of the sums over each range of shards, [outputs][rows * n]. Asserts that
  /// nothing around them was written.
  std::vector<std::vector<float>> run(const Kernels& kernels, ThreadPool& threads, Range rows,
                                      const std::vector<Range>& outputs, bool with_bias,
                                      const Blocking& blocking) const {
    constexpr float untouched = -12345.0f;
    const std::int64_t ldy = shape.n + 5;
    std::vector<std::vector<float>> wide(outputs.size());
    std::vector<ShardSum> sums;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      wide[i].assign(static_cast<std::size_t>((rows.size() + 1) * ldy), untouched);
      sums.push_back({outputs[i], wide[i].data()});
    }
    LinearArgs args;
    args.x = x.data() + rows.begin * ldx;
    args.m = rows.size();
    args.ldx = ldx;
    args.shape = &shape;
    args.w = packed_w.data();
    args.bias = with_bias ? bias.data() : nullptr;
    args.outputs = sums;
    args.ldy = ldy;
    Workspace workspace;
    linear(kernels, threads, args, blocking, workspace);

    std::vector<std::vector<float>> narrow(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      for (std::int64_t j = 0; j < std::ssize(wide[i]); ++j) {
        const float value = wide[i][static_cast<std::size_t>(j)];
        if (j / ldy < rows.size() && j % ldy < shape.n) {
          narrow[i].push_back(value);
        } else {
          TRIREME_ASSERT(value == untouched);
        }
      }
    }
    return narrow;
  }

  /// All rows, all shards.
  std::vector<float> run(const Kernels& kernels, ThreadPool& threads, bool with_bias = true) const {
    return run(kernels, threads, {0, m}, {all_shards()}, with_bias, blocking(m, threads.size()))[0];
  }

  float x_at(std::int64_t row, std::int64_t k) const {
    return bf16_to_f32(f32_to_bf16(x[static_cast<std::size_t>(row * ldx + k)]));
  }
  float w_at(std::int64_t column, std::int64_t k) const {
    return bf16_to_f32(w[static_cast<std::size_t>(column * shape.k() + k)]);
  }

  /// One shard: steps of 32, the even and the odd elements in a chain each.
  float naive_shard(std::int64_t row, std::int64_t column, Range k) const {
    float sum = 0;
    for (std::int64_t step = k.begin; step < k.end; step += 32) {
      float even = 0;
      float odd = 0;
      for (std::int64_t i = step; i < std::min(step + 32, k.end); ++i) {
        float& chain = (i - k.begin) % 2 == 0 ? even : odd;
        chain = madd(x_at(row, i), w_at(column, i), chain);
      }
      sum = plus(sum, plus(even, odd));
    }
    return sum;
  }

  float naive(std::int64_t row, std::int64_t column, Range shards) const {
    if (shards.empty()) return 0;
    if (shards.size() == 1) {
      std::int64_t begin = 0;
      for (std::int64_t s = 0; s < shards.begin; ++s)
        begin += shape.k_shards[static_cast<std::size_t>(s)];
      const std::int64_t width = shape.k_shards[static_cast<std::size_t>(shards.begin)];
      return naive_shard(row, column, {begin, begin + width});
    }
    std::int64_t left = 1;
    while (left * 2 < shards.size()) left *= 2;
    return naive(row, column, {shards.begin, shards.begin + left}) +
           naive(row, column, {shards.begin + left, shards.end});
  }

  std::vector<float> naive(Range shards, bool with_bias) const {
    std::vector<float> y;
    for (std::int64_t row = 0; row < m; ++row) {
      for (std::int64_t column = 0; column < shape.n; ++column) {
        const float sum = naive(row, column, shards);
        y.push_back(with_bias ? sum + bias[static_cast<std::size_t>(column)] : sum);
      }
    }
    return y;
  }
};

/// Bit for bit, also where a NaN is.
inline std::int64_t differing_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return -1;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    count += std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]);
  }
  return count;
}

}  // namespace trireme::amx
