#include "ceilings.h"

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

}  // namespace trireme::bench
