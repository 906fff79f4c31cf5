// Runs the ladders (ladder.h) on one thread and prints each rung's time, its share of what the
// machine can do, and how far it is from the plain loop: 0 where it has the same bits.
//
//   ladder_bench [word ...]      ladders whose title contains a word; all without one
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string_view>

#include "ceilings.h"
#include "core/machine_peaks.h"
#include "kernels/registry.h"
#include "ladder.h"

namespace trireme::bench {
namespace {

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// The median of runs that together take a third of a second.
double seconds_of(const Rung& rung, std::size_t copies, std::vector<float>& y) {
  std::vector<double> runs;
  const double begin = processor_seconds();
  for (std::size_t i = 0; i < 3 || processor_seconds() - begin < 0.3; ++i) {
    const double start = processor_seconds();
    rung.run(i % copies, y.data());
    runs.push_back(processor_seconds() - start);
  }
  std::ranges::sort(runs);
  return runs[runs.size() / 2];
}

/// Relative to the largest expected value.
double difference(const std::vector<float>& y, const std::vector<float>& expected) {
  double most = 0;
  double largest = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    most = std::max(most, std::abs(static_cast<double>(y[i]) - static_cast<double>(expected[i])));
  }
  return most / largest;
}

/// Whether every rung computed what the first one did.
bool climb(const Ladder& ladder, double read_limit) {
  fmt::print("\n{:44} {:>10} {:>9} {:>9} {:>8} {:>9} {:>11}\n", ladder.title, "us", "GFLOP/s",
             "of limit", "GB/s", "of limit", "difference");
  bool right = true;
  std::vector<float> expected(ladder.outputs);
  ladder.rungs.front().run(0, expected.data());
  for (const Rung& rung : ladder.rungs) {
    std::vector<float> y(ladder.outputs, NAN);
    const double seconds = seconds_of(rung, ladder.copies, y);
    const double off = difference(y, expected);
    right = right && off <= ladder.tolerance;
    const double flops = ladder.operations / seconds;
    const double bytes = ladder.bytes / seconds;
    fmt::print("  {:42} {:10.1f} {:9.1f} {:7.1f} % {:8.2f} {:7.1f} % {:11.1e}{}\n", rung.name,
               seconds * 1e6, flops / 1e9, 100 * flops / ladder.limit, bytes / 1e9,
               100 * bytes / read_limit, off, off <= ladder.tolerance ? "" : "  WRONG");
  }
  return right;
}

bool chosen(const std::string& title, int argc, char** argv) {
  return argc == 1 || std::any_of(argv + 1, argv + argc, [&](const char* word) {
           return title.find(word) != std::string::npos;
         });
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  using namespace trireme;
  ThreadPool threads(1);
  const auto backend = make_backend("auto");
  const bench::Ground ground{threads, *backend};
  const double read_limit = bench::read_peak(threads);
  fmt::print("one thread, \"used\" is {}; reading memory {:.1f} GB/s\n", backend->name(),
             read_limit / 1e9);
  bool right = true;
  for (const auto& make : {bench::one_row_of_bfloat16, bench::rows_of_bfloat16,
                           bench::one_row_of_int8, bench::one_row_of_int4, bench::one_query}) {
    const bench::Ladder ladder = make(ground);
    if (bench::chosen(ladder.title, argc, argv)) right = bench::climb(ladder, read_limit) && right;
  }
  return right ? 0 : 1;
}
