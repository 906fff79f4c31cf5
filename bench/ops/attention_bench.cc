// Attention of every backend: prefill of one sequence, and decoding of many. float16 runs the
// kernel that bfloat16 had before it went by pairs.
//
//   attention_bench [--threads=N] [--benchmark_filter=avx512/bfloat16]
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <memory>
#include <vector>

#include "ceilings.h"
#include "core/buffer.h"
#include "kernels/registry.h"

namespace trireme::bench {
namespace {

/// Llama-3.2-1B's heads; each sequence computes its last `rows` positions of `length`.
struct Problem {
  std::int64_t sequences;
  std::int64_t rows;
  std::int64_t length;
};

constexpr std::int64_t heads = 32;
constexpr std::int64_t kv_heads = 8;
constexpr std::int64_t head_dim = 64;

void run(benchmark::State& state, const std::string& name, DType dtype, const Problem& problem,
         ThreadPool& threads, double flop_limit, double byte_limit) {
  const auto backend = make_backend(name);
  KvCacheView cache{nullptr, nullptr, kv_heads, head_dim, dtype};
  const std::int64_t blocks = ceil_div(problem.length, KvCacheView::block_tokens);
  const std::int64_t elements = problem.sequences * blocks * cache.block_elements();
  Buffer k(static_cast<std::size_t>(elements) * size_of(dtype));
  Buffer v(static_cast<std::size_t>(elements) * size_of(dtype));
  cache.k = k.data();
  cache.v = v.data();
  std::vector<std::int32_t> table(static_cast<std::size_t>(problem.sequences * blocks));
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::int32_t>(i);
  std::vector<SequenceSpan> spans;
  for (std::int64_t i = 0; i < problem.sequences; ++i) {
    spans.push_back(
        {i * problem.rows, problem.rows, problem.length - problem.rows, table.data() + i * blocks});
  }
  std::vector<std::int32_t> kv_head_of;
  for (std::int64_t head = 0; head < heads; ++head) {
    kv_head_of.push_back(static_cast<std::int32_t>(head * kv_heads / heads));
  }
  constexpr std::int64_t ld = heads * head_dim;
  const std::vector<float> q(static_cast<std::size_t>(problem.sequences * problem.rows * ld), 0.5f);
  std::vector<float> out(q.size());
  const AttentionArgs args{q.data(),   ld,    out.data(), ld, heads,
                           kv_head_of, cache, 0.125f,     0,  {}, spans};
  for (auto _ : state) backend->attention(threads, args);

  using benchmark::Counter;
  const double calls = static_cast<double>(state.iterations());
  const auto sequences = static_cast<double>(problem.sequences);
  const double pairs =
      static_cast<double>(problem.rows) * (static_cast<double>(problem.length - problem.rows) +
                                           static_cast<double>(problem.rows + 1) / 2);
  const double flops = 4.0 * sequences * pairs * static_cast<double>(heads * head_dim) * calls;
  const double bytes = sequences * static_cast<double>(problem.length * kv_heads * head_dim * 2) *
                       static_cast<double>(size_of(dtype)) * calls;
  state.counters["FLOP/s"] = Counter(flops, Counter::kIsRate);
  state.counters["B/s"] = Counter(bytes, Counter::kIsRate);
  state.counters["of_FMA"] = Counter(flops / flop_limit, Counter::kIsRate);
  state.counters["of_read"] = Counter(bytes / byte_limit, Counter::kIsRate);
}

void add_all(ThreadPool& threads, double flop_limit, double byte_limit) {
  for (const std::string& name : available_backends()) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      for (const Problem& problem : {Problem{1, 512, 512},
                                     {1, 256, 2048},
                                     {1, 256, 8192},
                                     {1, 1, 2048},
                                     {32, 1, 64},
                                     {32, 1, 1024}}) {
        const std::string label =
            fmt::format("{}/{}/sequences:{}/rows:{}/length:{}", name, name_of(dtype),
                        problem.sequences, problem.rows, problem.length);
        auto* added =
            benchmark::RegisterBenchmark(label.c_str(), [=, &threads](benchmark::State& state) {
              run(state, name, dtype, problem, threads, flop_limit, byte_limit);
            });
        added->Unit(benchmark::kMicrosecond);
        if (threads.size() > 1) added->UseRealTime();
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
  const double flops = trireme::bench::fma_peak(threads);
  const double bytes = trireme::bench::read_peak(threads);
  fmt::print("{} threads; float32 FMA {:.1f} GFLOP/s; reading memory {:.1f} GB/s\n", threads.size(),
             flops / 1e9, bytes / 1e9);
  trireme::bench::add_all(threads, flops, bytes);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
