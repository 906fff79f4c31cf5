// bfloat16 products, from a plain loop to what is used. The order of additions that promise 1 asks
// for (ascending pairs of k, the second of a pair first) is that of the plain loop; lanes over k
// cannot keep it, lanes over outputs can.
#include <immintrin.h>

#include <memory>
#include <random>

#include "core/buffer.h"
#include "core/machine_peaks.h"
#include "ladder.h"

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512bf16")))

namespace trireme::bench {
namespace {

constexpr std::int64_t inputs = 2048;
constexpr std::int64_t panel = 32;

float as_float(std::uint16_t bits) { return bf16_to_f32(bits); }

/// A matrix [n, 2048] as checkpoints have it and packed, and rows of x, all bfloat16.
struct Operands {
  Operands(const Backend& backend, std::int64_t outputs, std::int64_t row_count)
      : n(outputs), rows(row_count), shape{outputs, {inputs}, DType::bf16} {
    bytes = backend.packed_bytes(shape);  // as many as row-major: nothing is padded
    copies = copies_beyond_cache(bytes);
    row_major = Buffer(bytes * copies);
    packed = Buffer(bytes * copies + 4096);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    auto* const w = row_major.as<std::uint16_t>();
    for (std::int64_t i = 0; i < n * inputs; ++i) w[i] = f32_to_bf16(normal(random));
    for (std::int64_t i = 0; i < rows * inputs; ++i) {
      x_bits.push_back(f32_to_bf16(normal(random)));
      x.push_back(as_float(x_bits.back()));
    }
    for (std::int64_t i = 0; i < n / panel; ++i) {
      backend.pack_panel(shape, i, row_major.data() + i * panel * inputs * 2,
                         packed.data() + static_cast<std::size_t>(i) * backend.panel_bytes(shape));
    }
    for (std::size_t copy = 1; copy < copies; ++copy) {
      std::copy_n(row_major.data(), bytes, row_major.data() + copy * bytes);
      std::copy_n(packed.data(), bytes, packed.data() + copy * bytes);
    }
  }

  const std::uint16_t* plain_copy(std::size_t copy) const {
    return reinterpret_cast<const std::uint16_t*>(row_major.data() + copy * bytes);
  }
  const std::uint16_t* packed_copy(std::size_t copy) const {
    return reinterpret_cast<const std::uint16_t*>(packed.data() + copy * bytes);
  }

  std::int64_t n;
  std::int64_t rows;
  MatrixShape shape;
  std::size_t bytes = 0;
  std::size_t copies = 0;
  Buffer row_major;  ///< [copies][n][2048]
  Buffer packed;     ///< [copies], as kernels/packed.h says
  std::vector<std::uint16_t> x_bits;
  std::vector<float> x;
};

void plain(const Operands& o, std::size_t copy, float* y) {
  const std::uint16_t* w = o.plain_copy(copy);
  for (std::int64_t row = 0; row < o.rows; ++row) {
    const float* x = o.x.data() + row * inputs;
    for (std::int64_t column = 0; column < o.n; ++column) {
      float sum = 0;
      // Products are exact, so none need be fused. Both steps of a pair in one turn of the loop
      // would read better, but g++ 12 gets that wrong at -O2: it vectorises it and loses addends.
      for (std::int64_t k = 0; k < inputs; ++k)
        sum += x[k ^ 1] * as_float(w[column * inputs + (k ^ 1)]);
      y[row * o.n + column] = sum;
    }
  }
}

/// Row-major weights, a vector of k at a time: four sums of sixteen lanes for each output.
AVX512_BF16 void lanes_over_k(const Operands& o, std::size_t copy, float* y) {
  const std::uint16_t* w = o.plain_copy(copy);
  for (std::int64_t column = 0; column < o.n; ++column, w += inputs) {
    __m512 sums[4] = {};
    for (std::int64_t k = 0; k < inputs; k += 128) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const auto a = reinterpret_cast<__m512bh>(_mm512_loadu_si512(o.x_bits.data() + k + 32 * i));
        const auto b = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + k + 32 * i));
        sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
      }
    }
    const __m512 sum =
        _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
    y[column] = _mm512_reduce_add_ps(sum);
  }
}

/// Packed panels, lanes are outputs; pairs are taken apart into float32 with a shift and a mask.
AVX512 void lanes_over_outputs(const Operands& o, std::size_t copy, float* y) {
  const std::uint16_t* w = o.packed_copy(copy);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  for (std::int64_t column = 0; column < o.n; column += panel) {
    __m512 sums[2] = {};
    for (std::int64_t k = 0; k < inputs; k += 2, w += 2 * panel) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const __m512i pairs = _mm512_loadu_si512(w + 32 * v);
        const __m512 second = _mm512_castsi512_ps(_mm512_and_si512(pairs, upper));
        const __m512 first = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
        sums[v] =
            _mm512_fmadd_ps(_mm512_set1_ps(o.x[static_cast<std::size_t>(k) + 1]), second, sums[v]);
        sums[v] = _mm512_fmadd_ps(_mm512_set1_ps(o.x[static_cast<std::size_t>(k)]), first, sums[v]);
      }
    }
    _mm512_storeu_ps(y + column, sums[0]);
    _mm512_storeu_ps(y + column + 16, sums[1]);
  }
}

/// Packed panels, pairs multiplied as they are, for `count` rows at a time.
template <int count>
AVX512_BF16 void tile_of_pairs(const Operands& o, const std::uint16_t* w, std::int64_t row,
                               std::int64_t column, float* y) {
  const std::uint16_t* x = o.x_bits.data() + row * inputs;
  __m512 sums[count][2] = {};
  for (std::int64_t k = 0; k < inputs; k += 2, w += 2 * panel) {
    const auto low = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w));
    const auto high = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + 32));
#pragma GCC unroll 12
    for (int r = 0; r < count; ++r) {
      int pair = 0;
      __builtin_memcpy(&pair, x + r * inputs + k, sizeof(pair));
      const auto factor = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], factor, low);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], factor, high);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < count; ++r) {
    _mm512_storeu_ps(y + (row + r) * o.n + column, sums[r][0]);
    _mm512_storeu_ps(y + (row + r) * o.n + column + 16, sums[r][1]);
  }
}

/// Every panel meets `count` rows before the next panel is read.
template <int count>
void tiles_of_pairs(const Operands& o, std::size_t copy, float* y) {
  const std::uint16_t* w = o.packed_copy(copy);
  for (std::int64_t column = 0; column < o.n; column += panel, w += inputs * panel) {
    for (std::int64_t row = 0; row < o.rows; row += count) {
      tile_of_pairs<count>(o, w, row, column, y);
    }
  }
}

void used(const Ground& ground, const Operands& o, std::size_t copy, float* y) {
  const ShardSum output{{0, 1}, y};
  ground.backend.linear(ground.threads, {o.x.data(),
                                         o.rows,
                                         inputs,
                                         &o.shape,
                                         o.packed.data() + copy * o.bytes,
                                         nullptr,
                                         {&output, 1},
                                         o.n});
}

Ladder ladder_of(const Ground& ground, const std::string& title,
                 const std::shared_ptr<Operands>& o) {
  const bool pairs = __builtin_cpu_supports("avx512bf16");
  const double peak = measure_math_peak(
      ground.threads, pairs ? MathUnit::avx512bf16 : widest_float_unit(), PeakClock::processor);
  const double elements = static_cast<double>(o->n * inputs);
  return {title,        static_cast<std::size_t>(o->rows * o->n),
          o->copies,    2 * elements * static_cast<double>(o->rows),
          2 * elements, peak,
          1e-5,         {}};
}

}  // namespace

Ladder one_row_of_bfloat16(const Ground& ground) {
  const auto o = std::make_shared<Operands>(ground.backend, 2048, 1);
  Ladder ladder = ladder_of(ground, "bfloat16, one row, 2048 x 2048", o);
  const auto add = [&](const char* name, auto function) {
    ladder.rungs.push_back({name, [=](std::size_t copy, float* y) { function(*o, copy, y); }});
  };
  add("plain loop", plain);
  const bool pairs = __builtin_cpu_supports("avx512bf16");
  if (pairs) add("row-major, lanes over k", lanes_over_k);
  if (__builtin_cpu_supports("avx512bw")) add("packed, as float32", lanes_over_outputs);
  if (pairs) add("packed, pairs (VDPBF16PS)", tiles_of_pairs<1>);
  ladder.rungs.push_back({"used", [=](std::size_t copy, float* y) { used(ground, *o, copy, y); }});
  return ladder;
}

Ladder rows_of_bfloat16(const Ground& ground) {
  const auto o = std::make_shared<Operands>(ground.backend, 512, 96);
  Ladder ladder = ladder_of(ground, "bfloat16, 96 rows, 512 x 2048", o);
  const auto add = [&](const char* name, auto function) {
    ladder.rungs.push_back({name, [=](std::size_t copy, float* y) { function(*o, copy, y); }});
  };
  add("plain loop", plain);
  if (__builtin_cpu_supports("avx512bf16")) {
    add("packed, pairs, row by row", tiles_of_pairs<1>);
    add("tiles of 4 rows in registers", tiles_of_pairs<4>);
    add("tiles of 8 rows in registers", tiles_of_pairs<8>);
    add("tiles of 12 rows in registers", tiles_of_pairs<12>);
  }
  ladder.rungs.push_back({"used: rows packed, K in chunks that L1 holds",
                          [=](std::size_t copy, float* y) { used(ground, *o, copy, y); }});
  return ladder;
}

}  // namespace trireme::bench
