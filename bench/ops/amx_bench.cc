// The AMX products on the layers of Llama-3.2-1B: operations and bytes of weights per second for 1
// to 512 rows, the cost of adding shards in their tree, integers over tiles beside AVX-512 VNNI,
// and a sweep over blockings to tune choose_blocking by.
//
//   amx_bench --benchmark_filter=^linear          the layers in bf16 as the program runs them
//   amx_bench --benchmark_filter=^plain           row-parallel layers without shards
//   amx_bench --benchmark_filter=^integers        int8, int4 and u4, over tiles and by VNNI
//   amx_bench --benchmark_filter=^sweep/bf16/512  blockings for 512 rows
//
// Where the tiles of `integers` pass VNNI is amx::fewest_integer_rows (kernels/cpu/amx_linear.h).
// Weights are read from memory, not from a cache: each iteration takes the next of several copies.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "core/shard.h"
#include "kernels/cpu/amx_linear.h"
#include "kernels/packed.h"
#include "kernels/registry.h"

namespace trireme::amx {
namespace {

struct Layer {
  const char* name;
  std::int64_t n;
  std::int64_t k;
  bool row_parallel;  ///< K is cut into virtual shards
};

constexpr Layer layers[] = {
    {"qkv", 3072, 2048, false},       {"o_proj", 2048, 2048, true},
    {"gate_up", 16384, 2048, false},  {"down_proj", 2048, 8192, true},
    {"lm_head", 128256, 2048, false},
};

constexpr WeightFormat bf16{DType::bf16, 0};

struct IntegerFormat {
  const char* name;
  WeightFormat format;
};

constexpr IntegerFormat integer_formats[] = {
    {"int8", {DType::i8, 256}}, {"int4", {DType::i4, 64}}, {"u4", {DType::u4, 128}}};

MatrixShape shape_of(const Layer& layer, bool sharded, const WeightFormat& format) {
  constexpr std::int64_t head_dim = 64;
  const VirtualShards shards(layer.k, head_dim);
  MatrixShape shape{layer.n, {}, format.dtype, format.group};
  for (std::int64_t i = 0; sharded && i < shards.count(); ++i) {
    shape.k_shards.push_back(shards.elements(i).size());
  }
  if (!sharded) shape.k_shards.push_back(layer.k);
  return shape;
}

/// Copies of a matrix that no cache holds together.
class Weights {
 public:
  explicit Weights(const MatrixShape& shape) : bytes_(packed::matrix_bytes(shape)) {
    constexpr std::size_t beyond_caches = std::size_t{512} << 20;
    copies_ = beyond_caches / bytes_ + 1;
    buffer_ = Buffer(copies_ * bytes_);
    std::uint32_t state = 1;
    auto* values = buffer_.as<std::uint16_t>();
    for (std::size_t i = 0; i < buffer_.size() / sizeof(std::uint16_t); ++i) {
      state = state * 1664525u + 1013904223u;
      // Sign and seven bits of fraction of a number in [1, 2); a float16 scale, or any integers.
      values[i] = static_cast<std::uint16_t>(0x3f80u | ((state >> 16) & 0x807fu));
    }
  }

  std::size_t bytes() const { return bytes_; }
  const std::byte* next() { return buffer_.data() + bytes_ * (turn_++ % copies_); }

 private:
  std::size_t bytes_;
  std::size_t copies_ = 1;
  std::size_t turn_ = 0;
  Buffer buffer_;
};

/// Times run(args).
template <typename Run>
void measure(benchmark::State& state, const MatrixShape& shape, std::int64_t m, const Run& run) {
  Weights weights(shape);
  const std::int64_t k = shape.k();
  std::vector<float> x(static_cast<std::size_t>(m * k), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(m * shape.n));
  const ShardSum sum{{0, std::ssize(shape.k_shards)}, y.data()};
  LinearArgs args;
  args.x = x.data();
  args.m = m;
  args.ldx = k;
  args.shape = &shape;
  args.outputs = {&sum, 1};
  args.ldy = shape.n;
  for (auto _ : state) {
    args.w = weights.next();
    run(args);
    benchmark::ClobberMemory();
  }
  const auto iterations = static_cast<double>(state.iterations());
  const double operations = 2.0 * static_cast<double>(m * shape.n * k);
  state.counters["OP/s"] = benchmark::Counter(operations * iterations, benchmark::Counter::kIsRate);
  state.counters["B/s"] = benchmark::Counter(static_cast<double>(weights.bytes()) * iterations,
                                             benchmark::Counter::kIsRate);
}

void add(const std::string& name, const MatrixShape& shape, std::int64_t m, int threads,
         const Blocking& blocking) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    ThreadPool pool(threads);
    Workspace workspace;
    measure(state, shape, m, [&](const LinearArgs& args) {
      linear(hardware_kernels(), pool, args, blocking, workspace);
    });
  })->UseRealTime();
}

/// The same by the backend that `amx` stands on.
void add_base(const std::string& name, const MatrixShape& shape, std::int64_t m, int threads) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    ThreadPool pool(threads);
    const std::unique_ptr<Backend> backend = make_backend("avx512vnni");
    measure(state, shape, m, [&](const LinearArgs& args) { backend->linear(pool, args); });
  })->UseRealTime();
}

Blocking chosen(const MatrixShape& shape, std::int64_t m, int threads) {
  LinearArgs args;
  args.shape = &shape;
  args.m = m;
  return blocking_for(args, threads);
}

void add_layers(int threads) {
  for (const Layer& layer : layers) {
    for (const std::int64_t m : {1, 16, 32, 64, 128, 512}) {
      const MatrixShape shape = shape_of(layer, layer.row_parallel, bf16);
      add(fmt::format("linear/{}/m:{}/threads:{}", layer.name, m, threads), shape, m, threads,
          chosen(shape, m, threads));
      if (!layer.row_parallel) continue;
      const MatrixShape plain = shape_of(layer, false, bf16);
      add(fmt::format("plain/{}/m:{}/threads:{}", layer.name, m, threads), plain, m, threads,
          chosen(plain, m, threads));
    }
  }
}

void add_integers(int threads) {
  for (const auto& [format_name, format] : integer_formats) {
    for (const Layer& layer : layers) {
      const MatrixShape shape = shape_of(layer, layer.row_parallel, format);
      for (const std::int64_t m : {1, 8, 12, 16, 24, 32, 64, 128, 512}) {
        const std::string name =
            fmt::format("{}/{}/m:{}/threads:{}", format_name, layer.name, m, threads);
        add("integers/tiles/" + name, shape, m, threads, chosen(shape, m, threads));
        add_base("integers/vnni/" + name, shape, m, threads);
      }
    }
  }
}

/// One member of the chosen blocking changed at a time.
void add_sweep(const char* format_name, const WeightFormat& format, const Layer& layer,
               std::int64_t m, int threads) {
  const MatrixShape shape = shape_of(layer, layer.row_parallel, format);
  const Blocking base = chosen(shape, m, threads);
  const auto variant = [&](const std::string& what, const Blocking& blocking) {
    add(fmt::format("sweep/{}/{}/{}/{}/threads:{}", format_name, m, layer.name, what, threads),
        shape, m, threads, blocking);
  };
  variant("chosen", base);
  for (const std::int64_t steps : {4, 8, 16, 32, 64, 1 << 20}) {
    Blocking blocking = base;
    blocking.chunk_steps = steps;
    variant(fmt::format("chunk_steps:{}", steps), blocking);
  }
  for (const std::int64_t steps : {16, 32, 64, 128, 1 << 20}) {
    Blocking blocking = base;
    blocking.outer_steps = steps;
    variant(fmt::format("outer_steps:{}", steps), blocking);
  }
  for (const std::int64_t panels : {1, 2, 4, 8, 16}) {
    Blocking blocking = base;
    blocking.item_panels = panels;
    variant(fmt::format("item_panels:{}", panels), blocking);
  }
  for (const std::int64_t tiles : {4, 8, 16, 32}) {
    Blocking blocking = base;
    blocking.block_tiles = tiles;
    variant(fmt::format("block_tiles:{}", tiles), blocking);
  }
  constexpr const char* grids[] = {"1x2", "2x2", "4x1"};
  for (const Grid grid : {Grid::one_by_two, Grid::two_by_two, Grid::four_by_one}) {
    for (const bool streamed : {false, true}) {
      Blocking blocking = base;
      blocking.grid = grid;
      blocking.streamed = streamed;
      variant(fmt::format("grid:{}/streamed:{:d}", grids[static_cast<int>(grid)], streamed),
              blocking);
    }
  }
}

}  // namespace
}  // namespace trireme::amx

int main(int argc, char** argv) {
  using namespace trireme;
  if (!amx_granted()) {
    fmt::print(stderr, "amx_bench: nothing to measure: {}\n", amx_status());
    return 0;
  }
  const int all = static_cast<int>(std::thread::hardware_concurrency());
  for (const int threads : {1, all}) {
    amx::add_layers(threads);
    if (amx_int8_granted()) amx::add_integers(threads);
    if (all == 1) break;
  }
  for (const std::int64_t m : {1, 16, 32, 64, 128, 512}) {
    for (const amx::Layer& layer : amx::layers) {
      amx::add_sweep("bf16", amx::bf16, layer, m, all);
      if (!amx_int8_granted()) continue;
      for (const auto& [name, format] : amx::integer_formats) {
        amx::add_sweep(name, format, layer, m, all);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
