#include "ceilings.h"

#include <immintrin.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/machine_peaks.h"

namespace trireme::bench {

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
  return measure_math_peak(threads, widest_float_unit(), PeakClock::processor);
}

double read_peak(ThreadPool& threads) { return measure_read_peak(threads, PeakClock::processor); }

void read_bytes(const std::byte* data, std::size_t bytes) {
  constexpr std::size_t ahead = 512;
  __m128i sum = _mm_setzero_si128();
  for (std::size_t i = 0; i < bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(data + i + ahead), _MM_HINT_T0);
    for (std::size_t j = 0; j < 64; j += 16) {
      sum = _mm_xor_si128(sum, _mm_load_si128(reinterpret_cast<const __m128i*>(data + i + j)));
    }
  }
  asm volatile("" ::"x"(sum));
}

}  // namespace trireme::bench
