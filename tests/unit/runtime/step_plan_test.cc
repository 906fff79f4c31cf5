// Step plans and results survive the way to another rank, and damage is noticed.
#include "runtime/step_plan.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace trireme {
namespace {

TEST(StepPlan, RoundTrips) {
  StepPlan plan;
  plan.sequences.push_back({.position_begin = 64, .tokens = {1, 2}, .blocks = {7, 3, 9}});
  plan.sequences.push_back({.tokens = {5}, .blocks = {0}, .sample = true, .penalized = {5}});
  plan.sequences.back().sampler.top_p = 0.5f;
  plan.sequences.front().targets = {2, -1};
  const StepPlan copy = decode_plan(encode(plan));
  ASSERT_EQ(copy.sequences.size(), 2u);
  EXPECT_EQ(copy.sequences[0].position_begin, 64);
  EXPECT_EQ(copy.sequences[0].blocks, plan.sequences[0].blocks);
  EXPECT_EQ(copy.sequences[0].targets, plan.sequences[0].targets);
  EXPECT_TRUE(copy.sequences[1].sample);
  EXPECT_EQ(copy.sequences[1].sampler.top_p, 0.5f);
  EXPECT_EQ(copy.sequences[1].penalized, plan.sequences[1].penalized);
  EXPECT_EQ(copy.rows(), 3);
}

TEST(StepPlan, ResultsRoundTripAndCutMessagesAreRefused) {
  const StepResult result{{.token = 4}, {.logprobs = {-1.5f}, .logits = {1, 2, 3}}};
  Message bytes = encode(result);
  const StepResult copy = decode_result(bytes);
  ASSERT_EQ(copy.size(), 2u);
  EXPECT_EQ(copy[0].token, 4);
  EXPECT_EQ(copy[1].logits, result[1].logits);
  bytes.pop_back();
  EXPECT_THROW(decode_result(bytes), Error);
}

}  // namespace
}  // namespace trireme
