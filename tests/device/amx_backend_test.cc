// The amx backend as the program sees it: chosen by name, AMX for bf16 products, its base for the
// rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "amx_problem.h"
#include "kernels/registry.h"

namespace trireme {
namespace {

LinearArgs args_of(const amx::Problem& problem, std::span<const ShardSum> outputs) {
  LinearArgs args;
  args.x = problem.x.data();
  args.m = problem.m;
  args.ldx = problem.ldx;
  args.shape = &problem.shape;
  args.w = problem.packed_w.data();
  args.bias = problem.bias.data();
  args.outputs = outputs;
  args.ldy = problem.shape.n;
  return args;
}

TEST(AmxBackend, EmulatedByName) {
  const auto backend = make_backend("amx-emulated");
  EXPECT_EQ(backend->name(), "amx-emulated");
  EXPECT_EQ(backend->panel_rows(), packed::panel_rows);
  // Never chosen by itself: it is slow.
  for (const std::string& name : available_backends()) EXPECT_NE(name, "amx-emulated");
}

TEST(AmxBackend, IsThereWhenGranted) {
  const std::vector<std::string> names = available_backends();
  EXPECT_EQ(std::count(names.begin(), names.end(), "amx"), amx_granted() ? 1 : 0);
  if (!amx_granted()) GTEST_SKIP() << "AMX is not available: " << amx_status();
  EXPECT_EQ(make_backend("amx")->name(), "amx");
}

TEST(AmxBackend, StatusAgreesWithTheKernel) {
  std::ifstream file("/proc/cpuinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const bool listed = text.find(" amx_bf16") != std::string::npos;
  EXPECT_EQ(amx_status() == "the CPU has none", !listed) << amx_status();
}

TEST(AmxBackend, MultipliesBf16InTheTilesOrder) {
  const amx::Problem problem(21, 45, {64, 64, 33});
  std::vector<float> y(21 * 45);
  const ShardSum sum{problem.all_shards(), y.data()};
  ThreadPool threads(2);
  make_backend("amx-emulated")->linear(threads, args_of(problem, {&sum, 1}));
  EXPECT_EQ(amx::differing_bits(y, problem.naive(problem.all_shards(), true)), 0);
}

TEST(AmxBackend, LeavesFloat32ToItsBase) {
  amx::Problem problem(5, 40, {64, 33});
  problem.shape.dtype = DType::f32;
  std::vector<float> w(static_cast<std::size_t>(problem.shape.n * problem.shape.k()));
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = bf16_to_f32(problem.w[i]);
  const auto pack_and_run = [&](const Backend& backend) {
    problem.packed_w = Buffer(backend.packed_bytes(problem.shape));
    for (std::int64_t panel = 0; panel < packed::panel_count(problem.shape); ++panel) {
      const float* rows = w.data() + panel * backend.panel_rows() * problem.shape.k();
      backend.pack_panel(problem.shape, panel, reinterpret_cast<const std::byte*>(rows),
                         problem.packed_w.data() +
                             static_cast<std::size_t>(panel) * backend.panel_bytes(problem.shape));
    }
    std::vector<float> y(5 * 40);
    const ShardSum sum{problem.all_shards(), y.data()};
    ThreadPool threads(1);
    backend.linear(threads, args_of(problem, {&sum, 1}));
    return y;
  };
  EXPECT_EQ(amx::differing_bits(pack_and_run(*make_backend("amx-emulated")),
                                pack_and_run(*make_backend("reference"))),
            0);
}

TEST(AmxBackend, CallsFromTwoThreadsDoNotMeet) {
  const amx::Problem problem(33, 64, {64, 64});
  const std::vector<float> expected = problem.naive(problem.all_shards(), true);
  const auto backend = make_backend("amx-emulated");
  std::vector<float> results[2] = {std::vector<float>(33 * 64), std::vector<float>(33 * 64)};
  const auto work = [&](std::vector<float>& y) {
    ThreadPool threads(2);
    for (int i = 0; i < 5; ++i) {
      const ShardSum sum{problem.all_shards(), y.data()};
      backend->linear(threads, args_of(problem, {&sum, 1}));
    }
  };
  std::thread other(work, std::ref(results[1]));
  work(results[0]);
  other.join();
  for (const auto& y : results) EXPECT_EQ(amx::differing_bits(y, expected), 0);
}

}  // namespace
}  // namespace trireme
