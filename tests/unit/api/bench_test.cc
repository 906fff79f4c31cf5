// The benchmark: its counts of work, and that its output does not depend on how it was run.
#include "trireme/bench.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/bench_work.h"
#include "kernels/registry.h"
#include "launch/launcher.h"
#include "runtime/replica.h"

namespace trireme {
namespace {

BenchOptions tiny(std::int64_t sequences = 3) {
  BenchOptions options;
  options.engine.model = "shape:tiny";
  options.engine.threads = 1;
  options.prompt_tokens = 70;  // not a multiple of a block, nor of any chunk below
  options.new_tokens = 9;
  options.sequences = sequences;
  options.measure_limits = false;
  return options;
}

TEST(BenchWork, CountsWeightsAndAttention) {
  Options options;
  options.model = "shape:tiny";
  const OpenModel files = open_model(options);
  const BenchWork work(files.model->spec());
  // hidden 256, MLP 768, 8 heads and 4 K/V heads of 32, 4 layers, vocabulary 1000, tied.
  constexpr double layer = 256 * (256 + 128 + 128 + 256) + 3 * 256 * 768;
  constexpr double head = 1000 * 256;
  EXPECT_EQ(work.parameters(), static_cast<std::int64_t>(4 * (layer + 2 * 256) + head + 256));
  EXPECT_EQ(work.weight_bytes(false), 4 * layer * 2);
  EXPECT_EQ(work.weight_bytes(true), (4 * layer + head) * 2);
  EXPECT_EQ(work.head_operations(), 2 * head);
  EXPECT_EQ(work.layer_operations(0), 2 * 4 * layer + 4 * 4 * 256);
  EXPECT_EQ(work.layer_operations(9) - work.layer_operations(0), 9 * 4 * 4 * 256);
  EXPECT_EQ(work.cache_bytes(9), 10 * 4 * 2 * 128 * 2);
}

TEST(BenchWork, CountsKeptCodesAsTheyAre) {
  Options options;
  options.model = std::string(TRIREME_SOURCE_DIR) + "/tests/data/golden/qwen3_awq";
  const double kept = BenchWork(open_model(options).model->spec()).weight_bytes(false);
  options.quantization = "none";
  const double plain = BenchWork(open_model(options).model->spec()).weight_bytes(false);
  // Two layers' o_proj [64, 128], gate_proj and up_proj [96, 64]: half a byte and 4 bytes for each
  // 32, instead of float16.
  EXPECT_EQ(plain - kept, 2 * (64 * 128 + 2 * 96 * 64) * (2 - 0.5 - 4.0 / 32));
}

TEST(BenchWork, ShapesHaveTheSizesOfTheirModels) {
  const auto parameters = [](const char* shape) {
    Options options;
    options.model = shape;
    return BenchWork(open_model(options).model->spec()).parameters();
  };
  // As published: safetensors metadata on the models' pages of huggingface.co.
  EXPECT_EQ(parameters("shape:gpt2"), 124'439'808);
  EXPECT_EQ(parameters("shape:llama-1b"), 1'235'814'400);
  EXPECT_EQ(parameters("shape:llama-8b"), 8'030'261'248);
}

TEST(BenchShapes, UnknownOneNamesTheKnown) {
  BenchOptions options = tiny();
  options.engine.model = "shape:huge";
  try {
    run_bench(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("llama-8b"), std::string::npos) << error.what();
  }
}

TEST(Bench, RefusesWorkThatCannotBe) {
  const auto refused = [](BenchOptions options) {
    try {
      run_bench(options);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::usage || error.kind() == ErrorKind::resource;
    }
    return false;
  };
  BenchOptions options = tiny();
  options.prompt_tokens = 0;
  EXPECT_TRUE(refused(options));
  options = tiny();
  options.prompt_tokens = 5000;  // beyond the model's context
  EXPECT_TRUE(refused(options));
  options = tiny();
  options.engine.kv_cache_bytes = 1 << 16;  // sequences would take turns
  EXPECT_TRUE(refused(options));
}

TEST(Bench, MeasuresBothPhasesAgainstTheMachine) {
  BenchOptions options = tiny();
  options.repetitions = 2;
  options.measure_limits = true;
  const BenchReport report = run_bench(options);
  ASSERT_EQ(report.prefill.size(), 2u);
  ASSERT_EQ(report.decode.size(), 2u);
  const BenchPhase& prefill = report.median(report.prefill);
  const BenchPhase& decode = report.median(report.decode);
  EXPECT_EQ(prefill.tokens, 3 * 70);
  EXPECT_GT(prefill.seconds, 0);
  EXPECT_GT(decode.tokens, 0);
  EXPECT_LE(decode.tokens, 3 * 8);
  EXPECT_EQ(decode.tokens, 3 * decode.steps);  // every sequence in every step
  EXPECT_GT(prefill.operations_per_s(), decode.operations_per_s() * 0.01);
  EXPECT_GT(report.read_bytes_per_s, 1e8);
  EXPECT_GT(report.math_operations_per_s, 1e8);
  EXPECT_FALSE(report.math_unit.empty());
  EXPECT_EQ(report.parameters, 3'404'032);
}

TEST(Bench, OneSequenceReadsTheWeightsOncePerToken) {
  BenchOptions options = tiny(1);
  const BenchReport report = run_bench(options);
  const BenchPhase& decode = report.decode.front();
  EXPECT_EQ(decode.steps, decode.tokens);
  const double weights = static_cast<double>(decode.tokens) * (4 * 786432 + 256000) * 2;
  EXPECT_GT(decode.bytes, weights);
  EXPECT_LT(decode.bytes, weights * 1.1);  // the cache adds little at this length
}

TEST(Bench, OutputDependsOnTheWorkAlone) {
  const std::string expected = run_bench(tiny()).output_hash;
  BenchOptions options = tiny();
  options.engine.threads = 2;
  options.engine.max_step_tokens = 48;
  EXPECT_EQ(run_bench(options).output_hash, expected);
  options = tiny();
  options.repetitions = 3;
  EXPECT_EQ(run_bench(options).output_hash, expected);
  options = tiny();
  options.engine.load_seed = 1;
  EXPECT_NE(run_bench(options).output_hash, expected);
}

TEST(Bench, DraftsAreCountedAndChangeNoOutput) {
  BenchOptions options = tiny(2);
  options.new_tokens = 60;
  const BenchReport plain = run_bench(options);
  EXPECT_EQ(plain.decode.front().drafted, 0);
  options.engine.num_speculative_tokens = 5;
  const BenchReport report = run_bench(options);
  EXPECT_EQ(report.output_hash, plain.output_hash);
  const BenchPhase& decode = report.decode.front();
  EXPECT_GT(decode.accepted, 0);
  EXPECT_LE(decode.accepted, decode.drafted);
  EXPECT_EQ(decode.tokens, 2 * decode.steps + decode.accepted);
}

TEST(Bench, OutputDependsOnNoInstructionSetButAmx) {
  BenchOptions options = tiny(1);
  options.engine.isa = "reference";
  const std::string expected = run_bench(options).output_hash;
  for (const std::string& isa : available_backends()) {
    if (isa == "amx") continue;  // another order of additions, by design
    options.engine.isa = isa;
    EXPECT_EQ(run_bench(options).output_hash, expected) << isa;
  }
}

// One rank of PlansGiveTheSameOutput, started by it.
TEST(BenchRank, DISABLED_WritesItsHash) {
  BenchOptions options = tiny();
  std::istringstream plan(std::getenv("BENCH_TEST_PLAN"));
  plan >> options.engine.data_parallel_size >> options.engine.tensor_parallel_size >>
      options.engine.pipeline_parallel_size;
  const BenchReport report = run_bench(options);
  if (report.prefill.empty()) return;
  std::ofstream(std::getenv("BENCH_TEST_FILE"))
      << report.output_hash << ' ' << report.prefill.front().tokens;
}

/// Runs the test above on the ranks of a plan; what its first rank wrote.
std::string output_under(ParallelSizes sizes) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("trireme-bench-{}", ::getpid());
  LaunchSpec spec;
  spec.arguments = {"--gtest_also_run_disabled_tests", "--gtest_filter=BenchRank.*"};
  spec.group_size = sizes.world();
  spec.sizes = sizes;
  spec.env = {{"BENCH_TEST_PLAN", fmt::format("{} {} {}", sizes.dp, sizes.tp, sizes.pp)},
              {"BENCH_TEST_FILE", file.string()}};
  Launcher launcher(spec);
  launcher.start();
  EXPECT_EQ(launcher.wait_all(), 0);
  std::string text;
  std::getline(std::ifstream(file), text);
  std::filesystem::remove(file);
  return text;
}

TEST(Bench, PlansGiveTheSameOutput) {
  const std::string expected = run_bench(tiny()).output_hash + " 210";
  EXPECT_EQ(output_under({.tp = 2}), expected);
  EXPECT_EQ(output_under({.dp = 2, .pp = 2}), expected);
  EXPECT_EQ(output_under({.dp = 4}), expected);  // one replica has no sequence
}

}  // namespace
}  // namespace trireme
