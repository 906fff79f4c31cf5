// What a plan says of GPUs against what a run then takes, on emulated ones.
#include "trireme/plan.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "kernels/cuda_plugin.h"
#include "plan/gpu.h"
#include "trireme/engine.h"

namespace trireme {
namespace {

constexpr std::int64_t gibi = std::int64_t{1} << 30;

/// A machine with two emulated GPUs of 2 GiB, before anybody looks.
const bool machine = [] {
  setenv("TRIREME_PLUGIN_PATH", TRIREME_BINARY_DIR "/emulated", 1);
  setenv("TRIREME_NCCL", "0", 1);
  setenv("TRIREME_CUDA_EMULATION_DEVICES", "2", 1);
  setenv("TRIREME_CUDA_EMULATION_MEMORY", std::to_string(2 * gibi).c_str(), 1);
  return true;
}();

Options options_for(const std::string& dtype) {
  Options options;
  options.model = "shape:tiny";
  options.dtype = dtype;
  options.device = "cuda:1";
  options.threads = 1;
  return options;
}

TEST(PlanOnEmulatedGpus, TheCacheIsWhatTheRunTakes) {
  ASSERT_TRUE(machine);
  ASSERT_EQ(gpus().size(), 2u);
  Options options = options_for("bfloat16");
  options.max_sequences = 2;
  const PlanReport report = make_plan(options);
  EXPECT_TRUE(report.fits);
  EXPECT_EQ(report.gpu_memory_bytes, 2 * gibi);
  EXPECT_EQ(report.ranks[0].device, "cuda:1");
  const Engine engine(options);
  EXPECT_EQ(engine.stats().kv_blocks * kv_block_tokens, report.kv_cache_tokens);
  EXPECT_NEAR(static_cast<double>(engine.stats().weight_bytes),
              static_cast<double>(report.ranks[0].weight_bytes), 4096.0 * 64);
}

TEST(PlanOnEmulatedGpus, AFullGpuIsFilledAlike) {
  Options options = options_for("bfloat16");
  options.max_sequences = 100000;
  options.max_model_len = 1024;
  const PlanReport report = make_plan(options);
  EXPECT_TRUE(report.fits);
  const Engine engine(options);
  // The emulation has no context, which the plan counts.
  const auto taken = engine.stats().kv_blocks * kv_block_tokens;
  const auto context =
      gpu_context_bytes / (report.ranks[0].kv_cache_bytes / report.kv_cache_tokens);
  EXPECT_NEAR(static_cast<double>(taken), static_cast<double>(report.kv_cache_tokens + context),
              0.01 * static_cast<double>(taken));
}

TEST(PlanOnEmulatedGpus, SpeedComesFromARehearsalThere) {
  PlanSettings settings;
  settings.rehearse = true;
  Options options = options_for("float32");
  options.max_sequences = 2;
  options.max_model_len = 64;
  options.max_step_tokens = 32;
  const PlanReport report = make_plan(options, settings);
  EXPECT_GT(report.speed.prefill, 0);
  EXPECT_GT(report.speed.decode, 0);
  EXPECT_GT(report.speed.batch, 0);
  EXPECT_EQ(report.speed.layers, report.num_layers);
  EXPECT_EQ(report.no_speed, "");
}

}  // namespace
}  // namespace trireme
