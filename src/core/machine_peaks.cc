#include "core/machine_peaks.h"

#include <immintrin.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "core/buffer.h"

namespace trireme {

namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// The best of a few rounds of `work(part)` on every thread; a round takes what its slowest part
/// takes.
template <typename Work>
double best_seconds(ThreadPool& threads, PeakClock clock, const Work& work) {
  const clockid_t id = clock == PeakClock::wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    std::vector<double> seconds(static_cast<std::size_t>(threads.size()));
    const double begin = seconds_of(CLOCK_MONOTONIC);
    threads.parallel_for(threads.size(), [&](std::int64_t part) {
      const double start = seconds_of(id);
      work(part);
      seconds[static_cast<std::size_t>(part)] = seconds_of(id) - start;
    });
    // One thread may have done two parts: on the wall that is twice the time.
    const double wall = seconds_of(CLOCK_MONOTONIC) - begin;
    best = std::min(best, clock == PeakClock::wall ? wall : *std::ranges::max_element(seconds));
  }
  return best;
}

constexpr std::size_t region_bytes = std::size_t{128} << 20;

/// Reads every line of a region, asking for lines `ahead` bytes before they are needed.
std::uint64_t stream(const std::byte* data, std::size_t ahead) {
  __m128i sum = _mm_setzero_si128();
  for (std::size_t i = 0; i < region_bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(data + i + ahead), _MM_HINT_T0);
    for (std::size_t j = 0; j < 64; j += 16) {
      sum = _mm_xor_si128(sum, _mm_load_si128(reinterpret_cast<const __m128i*>(data + i + j)));
    }
  }
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum));
}

constexpr int chains = 12;  // independent sums: more than latency times issue width
constexpr int turns = 4'000'000;

float spin_sse() {
  __m128 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm_set1_ps(static_cast<float>(c));
  __m128 factor = _mm_set1_ps(0.999f);
  for (int i = 0; i < turns; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm_add_ps(_mm_mul_ps(sums[c], factor), factor);
    asm volatile("" : "+x"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm_add_ps(sums[0], sums[c]);
  return _mm_cvtss_f32(sums[0]);
}

__attribute__((target("avx2,fma"))) float spin_avx2() {
  __m256 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm256_set1_ps(static_cast<float>(c));
  __m256 factor = _mm256_set1_ps(0.999f);
  for (int i = 0; i < turns; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm256_fmadd_ps(sums[c], factor, factor);
    asm volatile("" : "+x"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm256_add_ps(sums[0], sums[c]);
  return _mm256_cvtss_f32(sums[0]);
}

__attribute__((target("avx512f"))) float spin_avx512() {
  __m512 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  __m512 factor = _mm512_set1_ps(0.999f);
  for (int i = 0; i < turns; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm512_fmadd_ps(sums[c], factor, factor);
    asm volatile("" : "+v"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm512_add_ps(sums[0], sums[c]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx512f,avx512bf16"))) float spin_avx512bf16() {
  __m512 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  __m512 factor = _mm512_set1_ps(0.999f);
  for (int i = 0; i < turns; ++i) {
    const auto pairs = reinterpret_cast<__m512bh>(factor);
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm512_dpbf16_ps(sums[c], pairs, pairs);
    asm volatile("" : "+v"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm512_add_ps(sums[0], sums[c]);
  return _mm512_cvtss_f32(sums[0]);
}

/// The time of an integer product does not depend on the numbers, so registers keep what they hold.
/// Assembly, because the compiler would keep the sums of the intrinsic on the stack.
void spin_avx512vnni() {
  for (int i = 0; i < turns; ++i) {
    asm volatile(
        "vpdpbusd %%zmm0, %%zmm0, %%zmm1\n vpdpbusd %%zmm0, %%zmm0, %%zmm2\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm3\n vpdpbusd %%zmm0, %%zmm0, %%zmm4\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm5\n vpdpbusd %%zmm0, %%zmm0, %%zmm6\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm7\n vpdpbusd %%zmm0, %%zmm0, %%zmm8\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm9\n vpdpbusd %%zmm0, %%zmm0, %%zmm10\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm11\n vpdpbusd %%zmm0, %%zmm0, %%zmm12" ::
            : "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
              "xmm11", "xmm12");
  }
}
static_assert(chains == 12);

constexpr int tile_chains = 6;  // tiles 0 to 5 collect; 6 and 7 are the factors
constexpr int tile_turns = 400'000;
constexpr double pair_operations = 2.0 * 16 * 16 * 32;  // of one tdpbf16ps
constexpr double quad_operations = 2.0 * 16 * 16 * 64;  // of one tdpbssd

void spin_tiles_of_pairs() {
  for (int i = 0; i < tile_turns; ++i) {
    asm volatile(
        "tdpbf16ps %tmm7, %tmm6, %tmm0\n tdpbf16ps %tmm7, %tmm6, %tmm1\n"
        "tdpbf16ps %tmm7, %tmm6, %tmm2\n tdpbf16ps %tmm7, %tmm6, %tmm3\n"
        "tdpbf16ps %tmm7, %tmm6, %tmm4\n tdpbf16ps %tmm7, %tmm6, %tmm5");
  }
}

void spin_tiles_of_quads() {
  for (int i = 0; i < tile_turns; ++i) {
    asm volatile(
        "tdpbssd %tmm7, %tmm6, %tmm0\n tdpbssd %tmm7, %tmm6, %tmm1\n"
        "tdpbssd %tmm7, %tmm6, %tmm2\n tdpbssd %tmm7, %tmm6, %tmm3\n"
        "tdpbssd %tmm7, %tmm6, %tmm4\n tdpbssd %tmm7, %tmm6, %tmm5");
  }
}

/// Tiles of zeros: the time of a product does not depend on the numbers. Assembly, so that this
/// file needs no flag that would let the compiler use AMX elsewhere.
void spin_amx(void (*products)()) {
  struct alignas(64)
      TileConfig {  // Intel SDM vol. 1, 18.3: palette, start row, then bytes and rows
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(TileConfig) == 64);
  const TileConfig config;
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  asm volatile(
      "tilezero %tmm0\n tilezero %tmm1\n tilezero %tmm2\n tilezero %tmm3\n"
      "tilezero %tmm4\n tilezero %tmm5\n tilezero %tmm6\n tilezero %tmm7");
  products();
  asm volatile("tilerelease" ::: "memory");
}

void spin(MathUnit unit) {
  volatile float sink = 0;
  switch (unit) {
    case MathUnit::sse:
      sink = spin_sse();
      break;
    case MathUnit::avx2:
      sink = spin_avx2();
      break;
    case MathUnit::avx512:
      sink = spin_avx512();
      break;
    case MathUnit::avx512bf16:
      sink = spin_avx512bf16();
      break;
    case MathUnit::avx512vnni:
      spin_avx512vnni();
      break;
    case MathUnit::amx:
      spin_amx(spin_tiles_of_pairs);
      break;
    case MathUnit::amx_int8:
      spin_amx(spin_tiles_of_quads);
      break;
  }
  (void)sink;
}

double operations(MathUnit unit) {
  constexpr double vectors = 2.0 * chains * turns;
  switch (unit) {
    case MathUnit::sse:
      return vectors * 4;
    case MathUnit::avx2:
      return vectors * 8;
    case MathUnit::avx512:
      return vectors * 16;
    case MathUnit::avx512bf16:
      return vectors * 32;
    case MathUnit::avx512vnni:
      return vectors * 64;
    case MathUnit::amx:
      return pair_operations * tile_chains * tile_turns;
    case MathUnit::amx_int8:
      return quad_operations * tile_chains * tile_turns;
  }
  return 0;
}

}  // namespace

std::string_view name_of(MathUnit unit) {
  switch (unit) {
    case MathUnit::sse:
      return "SSE float32 multiply and add";
    case MathUnit::avx2:
      return "AVX2 float32 fused multiply-add";
    case MathUnit::avx512:
      return "AVX-512 float32 fused multiply-add";
    case MathUnit::avx512bf16:
      return "AVX-512 bfloat16 dot product of pairs";
    case MathUnit::avx512vnni:
      return "AVX-512 8-bit integer dot product of quads";
    case MathUnit::amx:
      return "AMX bfloat16 tile product";
    case MathUnit::amx_int8:
      return "AMX 8-bit integer tile product";
  }
  return "";
}

MathUnit widest_float_unit() {
  if (__builtin_cpu_supports("avx512f")) return MathUnit::avx512;
  const bool fused = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return fused ? MathUnit::avx2 : MathUnit::sse;
}

double measure_read_peak(ThreadPool& threads, PeakClock clock) {
  constexpr std::size_t farthest = 4096;
  const auto parts = static_cast<std::size_t>(threads.size());
  Buffer memory(region_bytes * parts + farthest);
  threads.parallel_for(threads.size(), [&](std::int64_t part) {
    std::fill_n(memory.data() + static_cast<std::size_t>(part) * region_bytes, region_bytes,
                std::byte{1});
  });
  double best = 1e9;
  for (const std::size_t ahead : {std::size_t{0}, std::size_t{512}, farthest}) {
    best = std::min(best, best_seconds(threads, clock, [&](std::int64_t part) {
                      volatile std::uint64_t sink = 0;
                      sink = stream(memory.data() + static_cast<std::size_t>(part) * region_bytes,
                                    ahead);
                      (void)sink;
                    }));
  }
  return static_cast<double>(region_bytes * parts) / best;
}

double measure_math_peak(ThreadPool& threads, MathUnit unit, PeakClock clock) {
  const double seconds = best_seconds(threads, clock, [unit](std::int64_t) { spin(unit); });
  return operations(unit) * threads.size() / seconds;
}

}  // namespace trireme
