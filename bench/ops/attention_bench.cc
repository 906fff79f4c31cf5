// Attention of every backend: prefill of one sequence, and decoding of many. float16 runs the
// kernel that bfloat16 had before it went by pairs. Single queries read keys and values from
// memory: each iteration takes the next of several caches, as each layer of a model has its own.
//
//   attention_bench [--threads=N] [--benchmark_filter=avx512/bfloat16]
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "ceilings.h"
#include "core/buffer.h"
#include "kernels/registry.h"

namespace trireme::bench {
namespace {

/// Each sequence computes its last `rows` positions of `length`.
struct Problem {
  std::int64_t sequences;
  std::int64_t rows;
  std::int64_t length;
  std::int64_t heads = 32;  ///< 32 over 8 are Llama-3.2-1B's, 12 over 12 GPT-2's
  std::int64_t kv_heads = 8;
};

constexpr std::int64_t head_dim = 64;
/// More than the caches of the processor hold, several times over.
constexpr std::size_t memory_bytes = std::size_t{192} << 20;

void run(benchmark::State& state, const std::string& name, DType dtype, const Problem& problem,
         ThreadPool& threads, double flop_limit, double byte_limit) {
  const auto backend = make_backend(name);
  const std::int64_t heads = problem.heads;
  const std::int64_t kv_heads = problem.kv_heads;
  KvCacheView cache{nullptr, nullptr, kv_heads, head_dim, dtype};
  const std::int64_t blocks = ceil_div(problem.length, KvCacheView::block_tokens);
  const std::int64_t elements = problem.sequences * blocks * cache.block_elements();
  const auto bytes_of_layer = static_cast<std::size_t>(elements) * size_of(dtype);
  const std::size_t layers =
      problem.rows == 1 ? std::max<std::size_t>(1, memory_bytes / (2 * bytes_of_layer)) : 1;
  Buffer k(layers * bytes_of_layer);
  Buffer v(layers * bytes_of_layer);
  std::memset(k.data(), 0x3c, k.size());  // numbers near 0.01, and memory of its own for each page
  std::memset(v.data(), 0x3c, v.size());
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
  const std::int64_t ld = heads * head_dim;
  const std::vector<float> q(static_cast<std::size_t>(problem.sequences * problem.rows * ld), 0.5f);
  std::vector<float> out(q.size());
  std::size_t turn = 0;
  for (auto _ : state) {
    const std::size_t layer = turn++ % layers;
    cache.k = k.data() + layer * bytes_of_layer;
    cache.v = v.data() + layer * bytes_of_layer;
    backend->attention(
        threads, {q.data(), ld, out.data(), ld, heads, kv_head_of, cache, 0.125f, 0, {}, spans});
  }

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
                                     {1, 1, 256},
                                     {1, 1, 2048},
                                     {1, 1, 256, 12, 12},
                                     {1, 1, 1024, 12, 12},
                                     {32, 1, 64},
                                     {32, 1, 1024}}) {
        const std::string label =
            fmt::format("{}/{}/sequences:{}/rows:{}/length:{}/heads:{}", name, name_of(dtype),
                        problem.sequences, problem.rows, problem.length, problem.heads);
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
