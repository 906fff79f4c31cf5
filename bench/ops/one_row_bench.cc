// What bounds a product of one row (a step of decoding): the same matrix from L2, from L3 and from
// memory, each beside plain reading of the same bytes in turn, so that a host whose bandwidth
// moves from second to second moves both.
//
//   one_row_bench [--threads=N] [word ...]      e.g. one_row_bench --threads=1 avx2 int4 memory
//
// Words choose backends, weights and levels; with no word of a kind all of it is measured, of
// backends the best one. One thread is timed by its own clock, which other programs on the machine
// do not disturb.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "ceilings.h"
#include "core/buffer.h"
#include "kernels/registry.h"

namespace trireme::bench {
namespace {

struct Format {
  DType dtype;
  std::int64_t group;
};

/// Where the weights are when they are read. `bytes` are those of all copies together.
struct Level {
  const char* name;
  std::size_t matrix_bytes;  ///< about; of one matrix
  std::size_t bytes;
};

constexpr std::size_t kilobyte = 1 << 10;
constexpr std::size_t megabyte = 1 << 20;
constexpr std::int64_t inputs = 2048;

constexpr Level levels[] = {{"L2", 256 * kilobyte, 512 * kilobyte},
                            {"L3", 2 * megabyte, 6 * megabyte},
                            {"memory", 4 * megabyte, 128 * megabyte}};
constexpr Format formats[] = {
    {DType::f32, 0}, {DType::bf16, 0}, {DType::i8, 256}, {DType::i4, 64}, {DType::u4, 128}};

double seconds_on(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// One matrix after another, as the layers of a model.
class Products {
 public:
  Products(const Backend& backend, ThreadPool& threads, const Format& format, const Level& level)
      : backend_(backend), threads_(threads) {
    shape_ = {32, {inputs}, format.dtype, format.group};
    const std::size_t panel = backend.packed_bytes(shape_);
    const auto workers = static_cast<std::size_t>(threads.size());
    shape_.n = 32 * static_cast<std::int64_t>(level.matrix_bytes * workers / panel);
    matrix_ = backend.packed_bytes(shape_);
    copies_ = std::max<std::size_t>(1, level.bytes * workers / matrix_);
    weights_ = Buffer(copies_ * matrix_ + 4096);
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      weights_.data()[i] = std::byte{static_cast<std::uint8_t>(state >> 26)};
    }
    x_.assign(inputs, 0.5f);
    y_.resize(static_cast<std::size_t>(shape_.n));
  }

  std::size_t bytes() const { return copies_ * matrix_; }

  void multiply() {
    const ShardSum output{{0, 1}, y_.data()};
    for (std::size_t copy = 0; copy < copies_; ++copy) {
      backend_.linear(threads_, {x_.data(),
                                 1,
                                 inputs,
                                 &shape_,
                                 weights_.data() + copy * matrix_,
                                 nullptr,
                                 {&output, 1},
                                 shape_.n});
    }
  }
  void read() {
    const std::size_t part = bytes() / static_cast<std::size_t>(threads_.size()) / 64 * 64;
    threads_.parallel_for(threads_.size(), [&](std::int64_t i) {
      read_bytes(weights_.data() + static_cast<std::size_t>(i) * part, part);
    });
  }

 private:
  const Backend& backend_;
  ThreadPool& threads_;
  MatrixShape shape_;
  std::size_t matrix_ = 0;
  std::size_t copies_ = 0;
  Buffer weights_;
  std::vector<float> x_;
  std::vector<float> y_;
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

void measure(const std::string& name, ThreadPool& threads, const Format& format,
             const Level& level) {
  const auto backend = make_backend(name);
  Products products(*backend, threads, format, level);
  const auto bytes = static_cast<double>(products.bytes());
  const int turns = std::max(1, static_cast<int>(2e8 / bytes));
  const clockid_t clock = threads.size() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const auto rate = [&](const auto& work) {
    const double begin = seconds_on(clock);
    for (int i = 0; i < turns; ++i) work();
    return bytes * turns / (seconds_on(clock) - begin);
  };
  std::vector<double> reached;
  std::vector<double> read;
  std::vector<double> share;
  products.multiply();
  for (int round = 0; round < 7; ++round) {
    read.push_back(rate([&] { products.read(); }));
    reached.push_back(rate([&] { products.multiply(); }));
    share.push_back(reached.back() / read.back());
  }
  fmt::print("{:11} {:8} {:6} {:7.1f} {:7.1f} {:7.0f} %\n", name, name_of(format.dtype), level.name,
             median(read) / 1e9, median(reached) / 1e9, 100 * median(share));
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  using namespace trireme;
  ThreadPool threads(bench::take_threads_flag(argc, argv));
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto wanted = [&](const std::vector<std::string>& of_a_kind, std::string_view one) {
    const auto is_word = [&](const auto& name) { return std::ranges::count(words, name) > 0; };
    return is_word(one) || std::ranges::none_of(of_a_kind, is_word);
  };
  std::vector<std::string> dtypes;
  std::vector<std::string> places;
  for (const bench::Format& format : bench::formats) dtypes.emplace_back(name_of(format.dtype));
  for (const bench::Level& level : bench::levels) places.emplace_back(level.name);
  std::vector<std::string> backends;
  for (const std::string& name : available_backends()) {
    if (std::ranges::count(words, name) > 0) backends.push_back(name);
  }
  if (backends.empty()) backends = {worthwhile_backends().back()};
  fmt::print("{} threads, GB/s\n{:11} {:8} {:6} {:>7} {:>7} {:>9}\n", threads.size(), "backend",
             "weights", "from", "read", "product", "of read");
  for (const std::string& name : backends) {
    for (const bench::Format& format : bench::formats) {
      if (!wanted(dtypes, name_of(format.dtype))) continue;
      for (const bench::Level& level : bench::levels) {
        if (wanted(places, level.name)) bench::measure(name, threads, format, level);
      }
    }
  }
  return 0;
}
