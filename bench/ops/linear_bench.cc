// Matrix products of every backend and dtype, beside the plain loops they grew from, and what the
// fixed tree over virtual shards costs against one plain sum over K.
//
//   linear_bench [--threads=N] [--benchmark_filter=avx512/bfloat16]
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstring>
#include <memory>
#include <vector>

#include "ceilings.h"
#include "core/buffer.h"
#include "core/shard.h"
#include "kernels/registry.h"

namespace trireme::bench {
namespace {

struct Problem {
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  bool sharded;  ///< K in virtual shards of 256, as a row-parallel layer
};

struct Format {
  DType dtype;
  std::int64_t group;  ///< of i8, i4 and u4
};

struct Limits {
  double flops;
  double bytes;
};

/// Several copies of a packed matrix, larger than the caches together, as a model's layers are.
class Weights {
 public:
  Weights(const Backend& backend, const Problem& problem, const Format& format) {
    shape_ = {problem.n, {problem.k}, format.dtype, format.group};
    if (problem.sharded) {
      const VirtualShards shards(problem.k, 64);
      shape_.k_shards.clear();
      for (std::int64_t i = 0; i < shards.count(); ++i) {
        shape_.k_shards.push_back(shards.elements(i).size());
      }
    }
    bytes_ = backend.packed_bytes(shape_);
    copies_ = std::max<std::size_t>(1, (std::size_t{192} << 20) / bytes_);
    memory_ = Buffer(bytes_ * copies_);
    fill();
  }

  const MatrixShape& shape() const { return shape_; }
  std::size_t bytes() const { return bytes_; }
  const std::byte* next() { return memory_.data() + bytes_ * (turn_++ % copies_); }

 private:
  /// Small numbers of mixed sign, the same bits in every dtype's exponent range. Integers may be
  /// anything; scales are what the bytes happen to say.
  void fill() {
    std::uint32_t state = 1;
    if (shape_.group > 0) {
      for (std::size_t i = 0; i < memory_.size(); ++i) {
        state = state * 1664525u + 1013904223u;
        memory_.data()[i] = std::byte{static_cast<std::uint8_t>(state >> 25)};
      }
      return;
    }
    const bool wide = shape_.dtype == DType::f32;
    for (std::size_t i = 0; i < memory_.size(); i += wide ? 4 : 2) {
      state = state * 1664525u + 1013904223u;
      const float value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-33f;
      const std::uint16_t half =
          shape_.dtype == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
      wide ? std::memcpy(memory_.data() + i, &value, 4) : std::memcpy(memory_.data() + i, &half, 2);
    }
  }

  MatrixShape shape_;
  std::size_t bytes_ = 0;
  std::size_t copies_ = 1;
  std::size_t turn_ = 0;
  Buffer memory_;
};

void report(benchmark::State& state, const Problem& problem, double weight_bytes,
            const Limits& limits) {
  const double calls = static_cast<double>(state.iterations());
  const double flops = 2.0 * static_cast<double>(problem.m * problem.n * problem.k) * calls;
  using benchmark::Counter;
  state.counters["FLOP/s"] = Counter(flops, Counter::kIsRate);
  state.counters["B/s"] = Counter(weight_bytes * calls, Counter::kIsRate);
  state.counters["of_FMA"] = Counter(flops / limits.flops, Counter::kIsRate);
  state.counters["of_read"] = Counter(weight_bytes * calls / limits.bytes, Counter::kIsRate);
}

void run_backend(benchmark::State& state, const std::string& name, const Format& format,
                 const Problem& problem, ThreadPool& threads, const Limits& limits) {
  const auto backend = make_backend(name);
  Weights weights(*backend, problem, format);
  const std::vector<float> x(static_cast<std::size_t>(problem.m * problem.k), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(problem.m * problem.n));
  const ShardSum output{{0, static_cast<std::int64_t>(weights.shape().k_shards.size())}, y.data()};
  for (auto _ : state) {
    const LinearArgs args{x.data(),       problem.m, problem.k,    &weights.shape(),
                          weights.next(), nullptr,   {&output, 1}, problem.n};
    backend->linear(threads, args);
  }
  report(state, problem, static_cast<double>(weights.bytes()), limits);
}

/// The ancestor: row-major weights, one dot after another, the compiler's own vectors. Its sums are
/// split over lanes as the compiler likes, so its bits are its own.
void run_plain(benchmark::State& state, const Problem& problem, ThreadPool& threads,
               const Limits& limits) {
  const std::vector<float> w(static_cast<std::size_t>(problem.n * problem.k), 0.25f);
  const std::vector<float> x(static_cast<std::size_t>(problem.m * problem.k), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(problem.m * problem.n));
  for (auto _ : state) {
    threads.parallel_for(problem.n, [&](std::int64_t column) {
      for (std::int64_t row = 0; row < problem.m; ++row) {
        float lanes[8] = {};
        for (std::int64_t k = 0; k + 8 <= problem.k; k += 8) {
          for (int l = 0; l < 8; ++l) {
            lanes[l] += x[static_cast<std::size_t>(row * problem.k + k + l)] *
                        w[static_cast<std::size_t>(column * problem.k + k + l)];
          }
        }
        float sum = 0;
        for (const float lane : lanes) sum += lane;
        y[static_cast<std::size_t>(row * problem.n + column)] = sum;
      }
    });
    benchmark::DoNotOptimize(y.data());
  }
  report(state, problem, 4.0 * static_cast<double>(problem.n * problem.k), limits);
}

/// One thread is timed by its own clock, which other programs on the machine do not disturb.
void add(const std::string& name, const ThreadPool& threads, auto function) {
  auto* added = benchmark::RegisterBenchmark(name.c_str(), function);
  added->Unit(benchmark::kMicrosecond);
  if (threads.size() > 1) added->UseRealTime();
}

void add_all(ThreadPool& threads, const Limits& limits) {
  // Llama-3.2-1B's down_proj; 8192 = 16 virtual shards of 512.
  constexpr std::int64_t n = 2048;
  constexpr std::int64_t k = 8192;
  for (const std::int64_t m : {1, 512}) {
    const Problem problem{m, n, k, false};
    add(fmt::format("plain/float32/m:{}", m), threads,
        [=, &threads](benchmark::State& state) { run_plain(state, problem, threads, limits); });
  }
  for (const std::string& name : available_backends()) {
    if (name == "reference") continue;
    for (const Format& format :
         {Format{DType::f32, 0}, Format{DType::bf16, 0}, Format{DType::f16, 0},
          Format{DType::i8, 256}, Format{DType::i4, 64}, Format{DType::u4, 128}}) {
      for (const bool sharded : {false, true}) {
        for (const std::int64_t m : {1, 2, 4, 8, 16, 32, 64, 128, 512}) {
          const Problem problem{m, n, k, sharded};
          add(fmt::format("{}/{}/{}/m:{}", name, name_of(format.dtype),
                          sharded ? "tree" : "one_sum", m),
              threads, [=, &threads](benchmark::State& state) {
                run_backend(state, name, format, problem, threads, limits);
              });
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  trireme::ThreadPool threads(trireme::bench::take_threads_flag(argc, argv));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const trireme::bench::Limits limits{trireme::bench::fma_peak(threads),
                                      trireme::bench::read_peak(threads)};
  fmt::print("{} threads; float32 FMA {:.1f} GFLOP/s; reading memory {:.1f} GB/s\n", threads.size(),
             limits.flops / 1e9, limits.bytes / 1e9);
  trireme::bench::add_all(threads, limits);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
