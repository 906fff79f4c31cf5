#include "ceilings.h"

#include <immintrin.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string_view>
#include <vector>

#include "core/buffer.h"

namespace trireme::bench {

namespace {

/// Processor time of this thread: other programs on the machine do not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// The best of a few rounds of `work` on every thread; a round takes what its slowest part takes.
template <typename Work>
double best_seconds(ThreadPool& threads, const Work& work) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    std::vector<double> seconds(static_cast<std::size_t>(threads.size()));
    threads.parallel_for(threads.size(), [&](std::int64_t part) {
      const double start = thread_seconds();
      work(part);
      seconds[static_cast<std::size_t>(part)] = thread_seconds() - start;
    });
    best = std::min(best, *std::max_element(seconds.begin(), seconds.end()));
  }
  return best;
}

constexpr int chains = 12;  // more than latency times issue width
constexpr int rounds = 4'000'000;

__attribute__((target("avx512f"))) float spin_avx512() {
  __m512 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  __m512 factor = _mm512_set1_ps(0.999f);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm512_fmadd_ps(sums[c], factor, factor);
    asm volatile("" : "+v"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm512_add_ps(sums[0], sums[c]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2,fma"))) float spin_avx2() {
  __m256 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm256_set1_ps(static_cast<float>(c));
  __m256 factor = _mm256_set1_ps(0.999f);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm256_fmadd_ps(sums[c], factor, factor);
    asm volatile("" : "+v"(factor));
  }
  for (int c = 1; c < chains; ++c) sums[0] = _mm256_add_ps(sums[0], sums[c]);
  return _mm256_cvtss_f32(sums[0]);
}

constexpr std::size_t region_bytes = std::size_t{128} << 20;

/// Touches every line of a region, 512 bytes ahead of the loads.
std::uint64_t stream(const std::byte* data) {
  __m128i sum = _mm_setzero_si128();
  for (std::size_t i = 0; i < region_bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(data + i + 512), _MM_HINT_T0);
    for (std::size_t j = 0; j < 64; j += 16) {
      const auto* at = reinterpret_cast<const __m128i*>(data + i + j);
      sum = _mm_xor_si128(sum, _mm_load_si128(at));
    }
  }
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum));
}

}  // namespace

int take_threads_flag(int& argc, char** argv) {
  int count = 2;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (!flag.starts_with("--threads=")) continue;
    std::from_chars(flag.data() + 10, flag.data() + flag.size(), count);
    std::copy(argv + i + 1, argv + argc, argv + i);
    --argc;
    break;
  }
  return std::max(1, count);
}

double fma_peak(ThreadPool& threads) {
  const bool wide = __builtin_cpu_supports("avx512f");
  volatile float sink = 0;
  const double seconds =
      best_seconds(threads, [&](std::int64_t) { sink = wide ? spin_avx512() : spin_avx2(); });
  return 2.0 * (wide ? 16 : 8) * chains * rounds * threads.size() / seconds;
}

double read_peak(ThreadPool& threads) {
  Buffer memory(region_bytes * static_cast<std::size_t>(threads.size()) + 4096);
  std::fill_n(memory.data(), memory.size(), std::byte{1});
  volatile std::uint64_t sink = 0;
  const double seconds = best_seconds(threads, [&](std::int64_t part) {
    sink = stream(memory.data() + static_cast<std::size_t>(part) * region_bytes);
  });
  return static_cast<double>(region_bytes) * threads.size() / seconds;
}

}  // namespace trireme::bench
