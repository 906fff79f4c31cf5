// Plans for GPUs: pure, so that none is needed.
#include "plan/gpu.h"

#include <gtest/gtest.h>

#include "kernels/cuda/weights.h"
#include "models.h"
#include "plan/report.h"
#include "runtime/replica.h"
#include "trireme/plan.h"

namespace trireme {
namespace {

constexpr std::int64_t mebi = std::int64_t{1} << 20;
constexpr std::int64_t gibi = std::int64_t{1} << 30;

/// What the backend asks for one matrix of a rank.
std::int64_t packed(const ParameterSpec& parameter, const ModelSpec& model,
                    const TensorShard& shard) {
  const WeightFormat format = model.format_of(parameter);
  const MatrixShape shape{.n = slice_of(parameter, model, shard).rows.size(),
                          .k_shards = shard_widths(parameter, model, shard),
                          .dtype = format.dtype,
                          .group = format.group};
  return static_cast<std::int64_t>(cuda::packed_bytes(shape));
}

void check_matrices(const std::string& name, const ModelSpec& model) {
  for (const int tp : {1, 3}) {
    if (tp > model.max_tensor_parallel()) continue;
    for (int rank = 0; rank < tp; ++rank) {
      const TensorShard shard = tensor_shard(model, tp, rank);
      for (const BlockSpec& block : model.blocks) {
        for (const ParameterSpec& parameter : block.parameters) {
          if (parameter.is_vector() || parameter.table) continue;
          ModelSpec alone = model;
          alone.blocks = {{BlockKind::layer, "only", {parameter}}};
          EXPECT_EQ(weight_bytes(alone, shard, {0, 1}, WeightPacking::gpu),
                    packed(parameter, model, shard))
              << name << " " << parameter.tensor << " -tp " << tp << " rank " << rank;
        }
      }
    }
  }
}

TEST(GpuWeights, AreWhatTheBackendPacks) {
  for (const std::string& name : golden_names()) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto model = golden_model(name, dtype);
      if (dtype != DType::f32) model->cut_less(8);
      for (const Quantization kept : {Quantization::none, Quantization::int8, Quantization::int4}) {
        model->quantize(kept);
        check_matrices(name, model->spec());
      }
    }
  }
  for (const char* name : {"qwen2_gptq_v2", "qwen3_awq"}) {
    check_matrices(name, golden_model_with_codes(name)->spec());
  }
}

TEST(GpuWeights, TakeMoreThanOnACpuOnlyByTheirPadding) {
  Options options;
  options.model = "shape:llama-8b";
  options.device = "cuda";
  PlanSettings settings;
  settings.gpu_memory = 80 * gibi;
  const PlanReport gpu = make_plan(options, settings);
  options.device = "cpu";
  const PlanReport cpu = make_plan(options);
  EXPECT_NEAR(static_cast<double>(gpu.ranks[0].weight_bytes),
              static_cast<double>(cpu.ranks[0].weight_bytes), 1e8);
}

TEST(RanksPerGpu, AreThoseOfTheFullest) {
  EXPECT_EQ(ranks_per_gpu(1, 8), 1);
  EXPECT_EQ(ranks_per_gpu(8, 8), 1);
  EXPECT_EQ(ranks_per_gpu(9, 8), 2);
  EXPECT_EQ(ranks_per_gpu(4, 1), 4);
  EXPECT_EQ(ranks_per_gpu(0, 0), 1);
}

TEST(GpuCache, TheRankWithLeastRoomDecides) {
  const MemoryLimits limits{.max_model_len = 320, .max_sequences = 100, .max_step_tokens = 64};
  const GpuRank ranks[] = {{1000 * mebi, mebi}, {300 * mebi, mebi}, {400 * mebi, 4 * mebi}, {0, 0}};
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, ranks, 1)), 100);
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, ranks, 2)), 50);
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, {ranks, 2}, 1)), 300);
  // No more than is wanted: 100 sequences of 10 blocks.
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, {ranks, 1}, 1)), 1000);
  const GpuRank roomy[] = {{9000 * mebi, mebi}};
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, roomy, 1)), 1000);
  // What is asked for is for the largest blocks.
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 80 * mebi, ranks, 1)), 20);
  // Ranks without layers hold none.
  EXPECT_EQ(cache_blocks(gpu_cache_request(limits, 0, {ranks + 3, 1}, 1)), 1000);
}

TEST(GpuCache, TooLittleForOneSequenceIsAShortage) {
  const MemoryLimits limits{.max_model_len = 320, .max_sequences = 4, .max_step_tokens = 64};
  const GpuRank rank{9 * mebi, mebi};
  EXPECT_NE(cache_shortage(gpu_cache_request(limits, 0, {&rank, 1}, 1)), "");
  const GpuRank more{10 * mebi, mebi};
  EXPECT_EQ(cache_shortage(gpu_cache_request(limits, 0, {&more, 1}, 1)), "");
}

TEST(GpuScratch, GrowsWithStepsAndIsAPowerOfTwo) {
  const auto model = golden_model("wide_llama", DType::bf16);
  const ModelSpec& spec = model->spec();
  const TensorShard shard = tensor_shard(spec, 1, 0);
  const Range all{0, static_cast<std::int64_t>(spec.blocks.size())};
  std::int64_t before = 0;
  for (const std::int64_t rows : {1, 16, 512, 8192}) {
    const std::int64_t bytes = gpu_scratch_bytes(spec, shard, all, {256, 8, rows});
    EXPECT_GE(bytes, before);
    EXPECT_EQ(bytes & (bytes - 1), 0);
    before = bytes;
  }
  EXPECT_GE(gpu_scratch_bytes(spec, shard, {0, 0}, {256, 8, 64}), mebi);
}

PlanRequest request_for(const ModelSpec& model, const GpuHost& gpus) {
  PlanRequest request;
  request.limits = {model.max_positions, 8, 128};
  request.gpus = gpus;
  return request;
}

TEST(GpuPlan, RanksTakeAHostsGpusInTurn) {
  const auto model = golden_model("wide_llama", DType::bf16);
  PlanRequest request = request_for(model->spec(), {.count = 2, .memory = 8 * gibi});
  request.dp = 2;
  request.tp = 2;
  PlanReport report = lay_out(model->spec(), request);
  const char* const in_turn[] = {"cuda:0", "cuda:1", "cuda:0", "cuda:1"};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(report.ranks[i].device, in_turn[i]);
  EXPECT_EQ(busy_gpus(report).all, 2);
  EXPECT_EQ(busy_gpus(report).of_stage, 2);
  // Replicas on a GPU have each their weights.
  EXPECT_EQ(report.host_bytes, report.ranks[0].total() + report.ranks[2].total());
  EXPECT_LE(report.host_bytes, report.available_bytes);
  EXPECT_EQ(report.available_bytes, request.gpus->budget());

  request.ranks_per_host = 2;
  report = lay_out(model->spec(), request);
  EXPECT_EQ(busy_gpus(report).all, 4);
  EXPECT_EQ(report.host_bytes, report.ranks[0].total());

  request.gpus->only = 1;
  report = lay_out(model->spec(), request);
  for (const RankShare& rank : report.ranks) EXPECT_EQ(rank.device, "cuda:1");
}

TEST(GpuPlan, TheCacheTakesWhatIsLeftUpToWhatIsWanted) {
  const auto model = golden_model("wide_llama", DType::bf16);
  PlanRequest request = request_for(model->spec(), {.count = 1, .memory = 2 * gibi});
  const PlanReport enough = lay_out(model->spec(), request);
  EXPECT_EQ(enough.kv_cache_tokens, kv_blocks_wanted(request.limits) * kv_block_tokens);
  EXPECT_TRUE(enough.fits);
  request.limits.max_sequences = 1000000;
  const PlanReport full = lay_out(model->spec(), request);
  EXPECT_TRUE(full.fits);
  EXPECT_GT(full.host_bytes, full.available_bytes * 99 / 100);
  EXPECT_LE(full.host_bytes, full.available_bytes);
  EXPECT_EQ(full.ranks[0].program_bytes, gpu_context_bytes);
}

std::string suggested(const ModelSpec& model, const PlanRequest& request) {
  std::string all;
  for (const PlanSuggestion& s : suggest_plans(model, request)) {
    all += s.flags + " (" + s.consequence + ")\n";
    EXPECT_LE(s.host_bytes, request.gpus->memory) << s.flags;
  }
  return all;
}

TEST(GpuPlan, WhatIsTooLargeForOneGpuWantsMoreOrFewerBits) {
  Options options;
  options.model = "shape:llama-8b";
  options.dtype = "float32";
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  PlanRequest request = request_for(model, {.count = 4, .memory = 24 * gibi});
  request.limits.max_model_len = 8192;
  ASSERT_FALSE(lay_out(model, request).fits);
  const std::string flags = suggested(model, request);
  EXPECT_NE(flags.find("--tensor-parallel-size 2 (2 of this host's 4 GPUs)"), std::string::npos)
      << flags;
  EXPECT_NE(flags.find("--dtype bfloat16"), std::string::npos) << flags;
  EXPECT_NE(flags.find("--quantization int8 ("), std::string::npos) << flags;
  request.gpus->count = 1;
  const std::string elsewhere = suggested(model, request);
  EXPECT_NE(elsewhere.find("mpirun -n 2"), std::string::npos) << elsewhere;
  // Only both together are enough.
  request.limits.max_model_len = 131072;
  const std::string both = suggested(model, request);
  EXPECT_NE(both.find("--quantization int8 --max-model-len"), std::string::npos) << both;
}

TEST(GpuPlan, ASuggestedPlanKeepsToItsGpu) {
  const auto model = golden_model("wide_llama", DType::bf16);
  PlanRequest request = request_for(model->spec(), {.count = 1, .memory = 4 * gibi});
  const RankShare rank = lay_out(model->spec(), request).ranks[0];
  request.gpus->memory =
      static_cast<std::int64_t>(static_cast<double>(rank.total() - rank.kv_cache_bytes) / 0.93);
  ASSERT_FALSE(lay_out(model->spec(), request).fits);
  const std::string flags = suggested(model->spec(), request);
  EXPECT_NE(flags.find("--gpu-memory-utilization 0.95"), std::string::npos) << flags;
}

TEST(GpuPlan, DescribedGpusNeedNoPlugIn) {
  Options options;
  options.model = "shape:llama-8b";
  options.device = "cuda";
  options.tensor_parallel_size = 8;
  PlanSettings settings;
  settings.gpu_memory = 80 * gibi;
  settings.gpus = 8;
  settings.rehearse = true;
  const PlanReport report = make_plan(options, settings);
  EXPECT_TRUE(report.fits) << report.shortage;
  EXPECT_EQ(report.gpus_per_host, 8);
  EXPECT_EQ(report.ranks[7].device, "cuda:7");
  EXPECT_EQ(report.virtual_shards[0].count, 8);
  EXPECT_EQ(report.speed.prefill, 0);
  EXPECT_NE(report.no_speed, "");
  EXPECT_GT(report.host_bytes, report.available_bytes * 9 / 10);

  settings.rehearse = false;
  settings.memory_bandwidth = 1e12;
  const double eight = make_plan(options, settings).decode_tokens_per_second;
  options.tensor_parallel_size = 1;
  EXPECT_NEAR(eight / make_plan(options, settings).decode_tokens_per_second, 8, 1e-6);

  options.device = "cuda:8";
  EXPECT_THROW(make_plan(options, settings), Error);
  options.device = "cpu";
  EXPECT_THROW(make_plan(options, settings), Error);
}

}  // namespace
}  // namespace trireme
