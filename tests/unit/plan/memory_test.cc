// What the plan says against what the runtime would allocate.
#include "plan/memory.h"

#include <gtest/gtest.h>

#include "kernels/registry.h"
#include "layers/parameter_store.h"
#include "models.h"
#include "models/rope.h"
#include "plan/stages.h"

namespace trireme {
namespace {

/// The arena that a rank's blocks ask for.
std::int64_t arena_bytes(const Model& model, const Backend& backend, const TensorShard& shard,
                         Range blocks) {
  ParameterStore store(backend);
  std::vector<std::unique_ptr<Block>> built;
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    const BlockSpec& block = model.spec().blocks[static_cast<std::size_t>(i)];
    built.push_back(model.build({model.spec(), block, shard, store}, i, 0));
  }
  return static_cast<std::int64_t>(store.bytes());
}

/// Entries start on pages, and small ones are stacked before that: what the plan cannot know, and
/// what matters to tiny models only.
double page_rounding(const ModelSpec& model, Range blocks) {
  constexpr double page = 4096;
  double bytes = 0;
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    bytes +=
        page * static_cast<double>(model.blocks[static_cast<std::size_t>(i)].parameters.size());
  }
  return bytes;
}

/// Every rank of every plan up to four shards and three stages.
void check_model(const std::string& name, const std::unique_ptr<Model>& model) {
  const ModelSpec& spec = model->spec();
  const auto backend = make_backend("reference");
  model->prepare(*backend, spec.max_positions);
  for (int tp = 1; tp <= std::min<std::int64_t>(4, spec.max_tensor_parallel()); ++tp) {
    for (int pp = 1; pp <= 3; ++pp) {
      for (const Range& blocks : partition_stages(spec, pp)) {
        for (int rank = 0; rank < tp; ++rank) {
          const TensorShard shard = tensor_shard(spec, tp, rank);
          const std::int64_t arena = arena_bytes(*model, *backend, shard, blocks);
          const std::int64_t planned = weight_bytes(spec, shard, blocks);
          const double slack = static_cast<double>(arena) / 100 + page_rounding(spec, blocks);
          EXPECT_NEAR(static_cast<double>(planned), static_cast<double>(arena), slack)
              << name << " " << name_of(spec.dtype) << " -tp " << tp << " -pp " << pp << " shard "
              << rank << " blocks " << blocks.begin << "-" << blocks.end;
        }
      }
    }
  }
}

class PlannedWeights : public ::testing::TestWithParam<std::string> {};

TEST_P(PlannedWeights, AreWhatTheArenaTakes) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    check_model(GetParam(), golden_model(GetParam(), dtype));
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, PlannedWeights, ::testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

TEST(PlannedCodes, AreWhatTheArenaTakes) {
  for (const char* name : {"qwen2_gptq_v2", "qwen3_awq"}) {
    const auto model = golden_model_with_codes(name);
    EXPECT_EQ(model->spec().quantization, Quantization::stored);
    check_model(name, model);
  }
  // Codes, and a float16 scale and zero for each 32 inputs, of a matrix [128, 64] (32-row panels).
  const auto model = golden_model_with_codes("qwen3_awq");
  BlockSpec only{BlockKind::layer, "only", {*model->spec().blocks[1].find("gate_proj.weight")}};
  ModelSpec spec = model->spec();
  spec.blocks = {only};
  EXPECT_EQ(weight_bytes(spec, tensor_shard(spec, 1, 0), {0, 1}), 96 * 64 / 2 + 96 * 2 * 4);
}

TEST(PlannedRotary, IsWhatTheTablesTake) {
  const HfConfig config = HfConfig::read(golden_folder("llama3") / "config.json");
  const auto model = make_model(config, DType::f32);
  const ModelSpec& spec = model->spec();
  const auto backend = make_backend("reference");
  const RotaryTables tables =
      rope_tables(read_rope(config, spec.head_dim, spec.max_positions), 1000, *backend);
  EXPECT_EQ(rotary_bytes(spec, {.max_model_len = 1000}),
            static_cast<std::int64_t>(tables.cos.size() + tables.sin.size()));
  EXPECT_EQ(rotary_bytes(golden_model("gpt2", DType::f32)->spec(), {.max_model_len = 1000}), 0);
}

}  // namespace
}  // namespace trireme
