#include "plan/stages.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "models.h"

namespace trireme {
namespace {

std::int64_t cost_of(const ModelSpec& model, Range blocks) {
  std::int64_t cost = 0;
  for (std::int64_t i = blocks.begin; i < blocks.end; ++i) {
    cost += block_cost(model.blocks[static_cast<std::size_t>(i)]);
  }
  return cost;
}

TEST(Stages, CoverTheModelWithoutGapsOrEmptyStages) {
  for (const std::string& name : golden_names()) {
    const auto model = golden_model(name, DType::f32);
    const auto blocks = static_cast<std::int64_t>(model->spec().blocks.size());
    for (int stages = 1; stages <= blocks; ++stages) {
      const std::vector<Range> ranges = partition_stages(model->spec(), stages);
      ASSERT_EQ(ranges.size(), static_cast<std::size_t>(stages));
      std::int64_t next = 0;
      for (const Range& range : ranges) {
        EXPECT_EQ(range.begin, next);
        EXPECT_FALSE(range.empty());
        next = range.end;
      }
      EXPECT_EQ(next, blocks);
    }
    EXPECT_THROW(partition_stages(model->spec(), static_cast<int>(blocks) + 1), Error);
    EXPECT_THROW(partition_stages(model->spec(), 0), Error);
  }
}

TEST(Stages, TheCostliestIsAsCheapAsCanBe) {
  const auto model = golden_model("wide_llama", DType::f32);
  const ModelSpec& spec = model->spec();
  const auto blocks = static_cast<std::int64_t>(spec.blocks.size());
  const std::vector<Range> ranges = partition_stages(spec, 2);
  std::int64_t best = cost_of(spec, {0, blocks});
  for (std::int64_t cut = 1; cut < blocks; ++cut) {
    best = std::min(best, std::max(cost_of(spec, {0, cut}), cost_of(spec, {cut, blocks})));
  }
  EXPECT_EQ(std::max(cost_of(spec, ranges[0]), cost_of(spec, ranges[1])), best);
}

}  // namespace
}  // namespace trireme
