// A rehearsal runs real steps of a model cut short; what it says of time can only be held to sense.
#include "runtime/rehearsal.h"

#include <gtest/gtest.h>

#include "kernels/registry.h"
#include "models/registry.h"
#include "models/shapes.h"

namespace trireme {
namespace {

std::unique_ptr<Model> shape(std::string_view name) {
  return make_model(HfConfig::parse(shape_config(name), "config.json"), DType::bf16);
}

TEST(Rehearsal, RunsEnoughLayersToMissTheCachesAndNoMoreThanThereAre) {
  EXPECT_EQ(Rehearsal::layers_for(shape("tiny")->spec()), shape("tiny")->spec().num_layers());
  const ModelSpec large = shape("llama-8b")->spec();
  EXPECT_EQ(Rehearsal::layers_for(large), 2);
  const std::array<Rehearsal::Step, 2> steps = {{{1, 128, 0}, {4, 1, 300}}};
  // Two layers, the embedding and the head: 2 * 218 and 2 * 525 million parameters of two bytes.
  EXPECT_NEAR(static_cast<double>(Rehearsal::bytes_for(large, steps, 2)), 2.97e9, 0.1e9);
}

TEST(Rehearsal, LongerStepsTakeLongerAndTheModelKeepsItsEnds) {
  const auto model = shape("tiny");
  const std::array<Rehearsal::Step, 3> steps = {{{1, 256, 0}, {1, 1, 500}, {8, 1, 100}}};
  const auto backend = make_backend("auto");
  Rehearsal rehearsal(*model, *backend, steps, Rehearsal::layers_for(model->spec()));
  EXPECT_EQ(model->spec().num_layers(), rehearsal.layers());
  EXPECT_EQ(model->spec().blocks.front().kind, BlockKind::embed);
  EXPECT_EQ(model->spec().blocks.back().kind, BlockKind::head);
  ThreadPool one(1);
  ThreadPool two(2);
  const double prompt = rehearsal.seconds(one, steps[0]);
  EXPECT_GT(rehearsal.seconds(two, steps[1]), 0);
  EXPECT_GT(rehearsal.seconds(one, steps[2]), 0);
  EXPECT_GT(prompt, rehearsal.seconds(one, steps[1])) << "256 rows against one";
}

TEST(Rehearsal, CountsTheLayersThatItLeavesOut) {
  const auto keep_all = shape("gpt2");
  const std::int64_t layers = keep_all->spec().num_layers();
  keep_all->keep_layers(3);
  EXPECT_EQ(keep_all->spec().num_layers(), 3);
  EXPECT_LT(3, layers);
  EXPECT_EQ(keep_all->spec().blocks[3].name, "transformer.h.2");
}

}  // namespace
}  // namespace trireme
