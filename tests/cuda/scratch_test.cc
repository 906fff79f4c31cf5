// What a plan sets aside for the kernels' scratch memory against what they ask for.
#include <gtest/gtest.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/linear_quantized.h"
#include "kernels/quantize.h"
#include "plan/gpu.h"
#include "runtime/replica.h"

namespace trireme {
namespace {

/// The most that any operation of a step asks for.
std::int64_t asked_for(const ModelSpec& model, const TensorShard& shard,
                       const MemoryLimits& limits) {
  std::size_t most =
      model.dtype == DType::f32
          ? 0
          : cuda::attention_scratch_bytes(shard.heads.size(), model.head_dim,
                                          std::min(limits.max_sequences, limits.max_step_tokens),
                                          limits.max_model_len);
  for (const BlockSpec& block : model.blocks) {
    const bool head = block.kind == BlockKind::head;
    for (const ParameterSpec& parameter : block.parameters) {
      if (parameter.is_vector() || parameter.table || block.kind == BlockKind::embed) continue;
      const std::vector<std::int64_t> widths = shard_widths(parameter, model, shard);
      const WeightFormat format = model.format_of(parameter);
      const MatrixShape shape{.n = slice_of(parameter, model, shard).rows.size(),
                              .k_shards = widths,
                              .dtype = format.dtype,
                              .group = format.group};
      if (shape.n == 0) continue;
      const std::int64_t rows =
          head ? std::min(logit_rows, limits.max_step_tokens) : limits.max_step_tokens;
      for (const bool tensor_cores : {false, true}) {
        most = std::max(most, quant::is_quantized(format.dtype)
                                  ? cuda::linear_quantized_scratch_bytes(shape, rows)
                                  : cuda::linear_scratch_bytes(shape, rows, tensor_cores));
      }
    }
  }
  return static_cast<std::int64_t>(
      std::max(most, cuda::draw_scratch_bytes(logit_rows, model.vocab_size)));
}

class PlannedScratch : public ::testing::TestWithParam<const char*> {};

TEST_P(PlannedScratch, IsNoLessThanKernelsAskFor) {
  for (const char* const dtype : {"float32", "bfloat16"}) {
    for (const char* const quantization : {"none", "int8", "int4"}) {
      Options options;
      options.model = GetParam();
      options.dtype = dtype;
      options.quantization = quantization;
      options.device = "cuda";
      const OpenModel files = open_model(options);
      const ModelSpec& model = files.model->spec();
      for (const int tp : {1, 3}) {
        const TensorShard shard = tensor_shard(model, tp, 0);
        const Range blocks{0, static_cast<std::int64_t>(model.blocks.size())};
        for (const std::int64_t rows : {1, 16, 17, 128, 512, 2048, 16384}) {
          for (const std::int64_t length : {256, 1024}) {
            const MemoryLimits limits{length, 64, rows};
            const std::int64_t planned = gpu_scratch_bytes(model, shard, blocks, limits);
            const std::int64_t asked = asked_for(model, shard, limits);
            EXPECT_GE(planned, asked) << dtype << " " << quantization << " -tp " << tp << ", "
                                      << rows << " rows, " << length << " keys";
            EXPECT_LE(planned, 4 * asked + (std::int64_t{16} << 20))
                << dtype << " " << quantization << " -tp " << tp << ", " << rows << " rows, "
                << length << " keys";
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, PlannedScratch,
                         ::testing::Values("shape:tiny", "shape:gpt2", "shape:llama-1b",
                                           "shape:llama-8b"),
                         [](const auto& test) {
                           std::string name = std::string(test.param).substr(6);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace trireme
