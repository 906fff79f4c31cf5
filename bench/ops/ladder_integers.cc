// int8 and int4 products of one row, from a plain loop to what is used. Integer sums are exact, so
// every rung has the same bits as long as the groups' sums join in order.
#include <immintrin.h>

#include <cmath>
#include <memory>
#include <random>

#include "core/buffer.h"
#include "core/machine_peaks.h"
#include "kernels/packed.h"
#include "kernels/quantize.h"
#include "ladder.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni,f16c,fma")))

namespace trireme::bench {
namespace {

constexpr std::int64_t inputs = 2048;
constexpr std::int64_t outputs = 2048;
constexpr std::int64_t panel = 32;
constexpr std::int64_t scale_bytes = 2 * panel;  ///< in front of a group of a packed panel

/// A matrix with its groups taken apart, row-major, and packed; and a row of x, rounded.
struct Operands {
  Operands(const Backend& backend, const WeightFormat& format)
      : shape{outputs, {inputs}, format.dtype, format.group} {
    bytes = backend.packed_bytes(shape);
    copies = copies_beyond_cache(bytes);
    packed = Buffer(bytes * copies + 4096);
    codes = Buffer(plain_bytes() * copies);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> rows(panel * inputs);
    for (std::int64_t i = 0; i < outputs / panel; ++i) {
      for (float& weight : rows) weight = normal(random);
      backend.pack_panel(shape, i, reinterpret_cast<std::byte*>(rows.data()),
                         packed.data() + static_cast<std::size_t>(i) * backend.panel_bytes(shape));
    }
    for (float& value : x) value = normal(random);
    take_apart();
    for (std::size_t copy = 1; copy < copies; ++copy) {
      std::copy_n(packed.data(), bytes, packed.data() + copy * bytes);
      std::copy_n(codes.data(), plain_bytes(), codes.data() + copy * plain_bytes());
    }
  }

  std::int64_t groups() const { return inputs / shape.group; }
  std::int64_t group_bytes() const {
    return static_cast<std::int64_t>(bytes) / (outputs / panel) / groups();
  }
  static std::size_t plain_bytes() { return outputs * inputs; }
  const std::uint8_t* codes_copy(std::size_t copy) const {
    return reinterpret_cast<const std::uint8_t*>(codes.data() + copy * plain_bytes());
  }
  const std::uint8_t* packed_copy(std::size_t copy) const {
    return reinterpret_cast<const std::uint8_t*>(packed.data() + copy * bytes);
  }

  MatrixShape shape;
  std::size_t bytes = 0;
  std::size_t copies = 0;
  Buffer packed;              ///< [copies], as kernels/packed.h says
  Buffer codes;               ///< [copies][outputs][inputs], a byte each, zero added
  std::vector<float> scales;  ///< [outputs][groups]
  float x[inputs];
  std::int8_t q[inputs];                     ///< x in eight bits
  std::vector<quant::Activations> x_groups;  ///< [groups]

 private:
  void take_apart() {
    auto* to = codes.as<std::uint8_t>();
    const auto panel_bytes = static_cast<std::size_t>(group_bytes() * groups());
    for (std::int64_t row = 0; row < outputs; ++row) {
      for (std::int64_t g = 0; g < groups(); ++g) {
        const packed::GroupView group{
            packed.data() + static_cast<std::size_t>(row / panel) * panel_bytes + g * group_bytes(),
            shape.dtype, row % panel};
        scales.push_back(group.scale());
        for (std::int64_t k = 0; k < shape.group; ++k) {
          *to++ = static_cast<std::uint8_t>(group.code(k));
        }
      }
    }
    for (std::int64_t g = 0; g < groups(); ++g) {
      x_groups.push_back(
          quant::quantize_activations(x + g * shape.group, shape.group, q + g * shape.group));
    }
  }
};

void plain(const Operands& o, std::size_t copy, float* y) {
  const std::uint8_t* w = o.codes_copy(copy);
  const int zero = quant::zero_of(o.shape.dtype);
  const float* scale = o.scales.data();
  for (std::int64_t column = 0; column < outputs; ++column) {
    const std::int8_t* q = o.q;
    y[column] = 0;
    for (const quant::Activations& group : o.x_groups) {
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < o.shape.group; ++k) sum += *q++ * (*w++ - zero);
      y[column] = std::fma(static_cast<float>(sum), group.scale * *scale++, y[column]);
    }
  }
}

/// Row-major bytes, 64 k at a time; each group's sum is added up over lanes.
VNNI void lanes_over_k(const Operands& o, std::size_t copy, float* y) {
  const std::uint8_t* w = o.codes_copy(copy);
  const int zero = quant::zero_of(o.shape.dtype);
  const float* scale = o.scales.data();
  for (std::int64_t column = 0; column < outputs; ++column) {
    const std::int8_t* q = o.q;
    float sum = 0;
    for (const quant::Activations& group : o.x_groups) {
      __m512i lanes = _mm512_setzero_si512();
      for (std::int64_t k = 0; k < o.shape.group; k += 64, w += 64, q += 64) {
        lanes = _mm512_dpbusd_epi32(lanes, _mm512_loadu_si512(w), _mm512_loadu_si512(q));
      }
      const int products = _mm512_reduce_add_epi32(lanes) - zero * group.sum;
      sum = std::fma(static_cast<float>(products), group.scale * *scale++, sum);
    }
    y[column] = sum;
  }
}

/// The quad of x that starts at `q`, in every lane.
VNNI inline __m512i same_quad(const std::int8_t* q) {
  int quad = 0;
  __builtin_memcpy(&quad, q, sizeof(quad));
  return _mm512_set1_epi32(quad);
}

/// y += a group's sums of sixteen columns times both scales.
VNNI inline __m512 scaled(__m512 y, __m512i sums, const std::uint8_t* scales, float x_scale) {
  const __m512 scale =
      _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(_mm512_set1_ps(x_scale), scale),
                         y);
}

/// Packed panels, lanes are outputs. `add_group(w, q, sums)` adds a group's products to the sums of
/// 32 columns.
template <typename AddGroup>
VNNI void panels(const Operands& o, std::size_t copy, float* y, const AddGroup& add_group) {
  const std::uint8_t* group = o.packed_copy(copy);
  const int zero = quant::zero_of(o.shape.dtype);
  for (std::int64_t column = 0; column < outputs; column += panel) {
    const std::int8_t* q = o.q;
    __m512 totals[2] = {};
    for (const quant::Activations& x : o.x_groups) {
      __m512i sums[2] = {_mm512_set1_epi32(-zero * x.sum), _mm512_set1_epi32(-zero * x.sum)};
      add_group(group + scale_bytes, q, sums);
      totals[0] = scaled(totals[0], sums[0], group, x.scale);
      totals[1] = scaled(totals[1], sums[1], group + 32, x.scale);
      group += o.group_bytes();
      q += o.shape.group;
    }
    _mm512_storeu_ps(y + column, totals[0]);
    _mm512_storeu_ps(y + column + 16, totals[1]);
  }
}

struct AddBytes {
  std::int64_t depth;
  VNNI void operator()(const std::uint8_t* w, const std::int8_t* q, __m512i (&sums)[2]) const {
    for (std::int64_t k = 0; k < depth; k += 4, w += 128) {
      const __m512i x = same_quad(q + k);
      sums[0] = _mm512_dpbusd_epi32(sums[0], _mm512_loadu_si512(w), x);
      sums[1] = _mm512_dpbusd_epi32(sums[1], _mm512_loadu_si512(w + 64), x);
    }
  }
};

/// Half bytes become bytes in L1 first.
struct ExpandNibbles {
  std::int64_t depth;
  VNNI void operator()(const std::uint8_t* w, const std::int8_t* q, __m512i (&sums)[2]) const {
    alignas(64) std::uint8_t bytes[quant::widest_group * panel];
    const __m512i low = _mm512_set1_epi8(15);
    for (std::int64_t k = 0; k < depth; k += 8, w += 128) {
      for (int half = 0; half < 128; half += 64) {
        const __m512i pairs = _mm512_loadu_si512(w + half);
        std::uint8_t* to = bytes + k * panel + half;
        _mm512_store_si512(to, _mm512_and_si512(pairs, low));
        _mm512_store_si512(to + 128, _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low));
      }
    }
    AddBytes{depth}(bytes, q, sums);
  }
};

/// Half bytes are taken apart in registers, all into one chain of sums per vector.
struct AddNibbles {
  std::int64_t depth;
  VNNI void operator()(const std::uint8_t* w, const std::int8_t* q, __m512i (&sums)[2]) const {
    const __m512i low = _mm512_set1_epi8(15);
    for (std::int64_t k = 0; k < depth; k += 8, w += 128) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const __m512i pairs = _mm512_loadu_si512(w + 64 * v);
        const __m512i high = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low);
        sums[v] = _mm512_dpbusd_epi32(sums[v], _mm512_and_si512(pairs, low), same_quad(q + k));
        sums[v] = _mm512_dpbusd_epi32(sums[v], high, same_quad(q + k + 4));
      }
    }
  }
};

void used(const Ground& ground, const Operands& o, std::size_t copy, float* y) {
  const ShardSum output{{0, 1}, y};
  ground.backend.linear(
      ground.threads,
      {o.x, 1, inputs, &o.shape, o.packed.data() + copy * o.bytes, nullptr, {&output, 1}, outputs});
}

template <typename... Groups>
Ladder ladder_of(const Ground& ground, const char* title, const WeightFormat& format,
                 const std::vector<std::string>& names, Groups... groups) {
  const auto o = std::make_shared<Operands>(ground.backend, format);
  const bool vnni = __builtin_cpu_supports("avx512vnni");
  const double peak = measure_math_peak(
      ground.threads, vnni ? MathUnit::avx512vnni : widest_float_unit(), PeakClock::processor);
  Ladder ladder{title, outputs, o->copies, 2.0 * outputs * inputs, static_cast<double>(o->bytes),
                peak,  0.0,     {}};
  const auto add = [&](const std::string& name, auto function) {
    ladder.rungs.push_back({name, [=](std::size_t copy, float* y) { function(*o, copy, y); }});
  };
  add("plain loop over bytes", plain);
  if (vnni) {
    add("row-major bytes, lanes over k (VPDPBUSD)", lanes_over_k);
    std::size_t i = 0;
    (add(names[i++],
         [=](const Operands& its, std::size_t copy, float* y) { panels(its, copy, y, groups); }),
     ...);
  }
  add("used", [=](const Operands& its, std::size_t copy, float* y) { used(ground, its, copy, y); });
  return ladder;
}

}  // namespace

Ladder one_row_of_int8(const Ground& ground) {
  return ladder_of(ground, "int8, one row, 2048 x 2048", {DType::i8, 256},
                   {"packed, lanes over outputs"}, AddBytes{256});
}

Ladder one_row_of_int4(const Ground& ground) {
  return ladder_of(ground, "int4, one row, 2048 x 2048", {DType::i4, 64},
                   {"packed, bytes through L1", "packed, apart in registers, one sum"},
                   ExpandNibbles{64}, AddNibbles{64});
}

}  // namespace trireme::bench
