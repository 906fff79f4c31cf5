// Step plans and results survive the way to another rank, and damage is noticed.
#include "runtime/step_plan.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace trireme {
namespace {

TEST(StepPlan, RoundTrips) {
  StepPlan plan;
  plan.sequences.push_back({.position_begin = 64, .tokens = {1, 2}, .blocks = {7, 3, 9}});
  plan.sequences.push_back(
      {.tokens = {5, 8, 9}, .blocks = {0}, .sample = true, .penalized = {5}, .drafts = 2});
  plan.sequences.back().sampler.top_p = 0.5f;
  plan.sequences.front().targets = {2, -1};
  plan.sequences.push_back({.tokens = {1, 2}, .targets = {4, 5, 6}, .target_counts = {0, 3}});
  plan.copies = {{3, 9}, {9, 4}};
  const StepPlan copy = decode_plan(encode(plan));
  ASSERT_EQ(copy.copies.size(), 2u);
  EXPECT_EQ(copy.copies[1].from, 9);
  EXPECT_EQ(copy.copies[1].to, 4);
  ASSERT_EQ(copy.sequences.size(), 3u);
  EXPECT_EQ(copy.sequences[2].target_counts, plan.sequences[2].target_counts);
  EXPECT_EQ(copy.sequences[0].position_begin, 64);
  EXPECT_EQ(copy.sequences[0].blocks, plan.sequences[0].blocks);
  EXPECT_EQ(copy.sequences[0].targets, plan.sequences[0].targets);
  EXPECT_TRUE(copy.sequences[1].sample);
  EXPECT_EQ(copy.sequences[1].sampler.top_p, 0.5f);
  EXPECT_EQ(copy.sequences[1].penalized, plan.sequences[1].penalized);
  EXPECT_EQ(copy.sequences[1].drafts, 2);
  EXPECT_EQ(copy.rows(), 7);
}

TEST(StepPlan, ResultsRoundTripAndCutMessagesAreRefused) {
  const StepResult result{{.tokens = {4, 6}}, {.logprobs = {-1.5f}, .logits = {1, 2, 3}}};
  Message bytes = encode(result);
  const StepResult copy = decode_result(bytes);
  ASSERT_EQ(copy.size(), 2u);
  EXPECT_EQ(copy[0].tokens, result[0].tokens);
  EXPECT_EQ(copy[1].logits, result[1].logits);
  bytes.pop_back();
  EXPECT_THROW(decode_result(bytes), Error);
}

TEST(StepPlan, EveryCutIsRefused) {
  StepPlan plan;
  plan.sequences.push_back(
      {.tokens = {5, 8}, .blocks = {0}, .sample = true, .penalized = {5}, .drafts = 1});
  const Message bytes = encode(plan);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(decode_plan(std::span(bytes).first(size)), Error) << size;
  }
}

TEST(StepPlan, DraftsThatTheTokensCannotHoldAreRefused) {
  for (const std::int64_t drafts : {-1, 2, 3}) {
    StepPlan plan;
    plan.sequences.push_back({.tokens = {5, 8}, .sample = true, .drafts = drafts});
    EXPECT_THROW(decode_plan(encode(plan)), Error) << drafts;
  }
  StepPlan unsampled;
  unsampled.sequences.push_back({.tokens = {5, 8}, .drafts = 1});
  EXPECT_THROW(decode_plan(encode(unsampled)), Error);
}

TEST(StepPlan, TargetsThatTheirCountsDoNotGiveAreRefused) {
  for (const std::vector<std::int32_t>& counts :
       std::vector<std::vector<std::int32_t>>{{3}, {1, 1}, {4, -1}, {1, 1, 1}}) {
    StepPlan plan;
    plan.sequences.push_back({.tokens = {5, 8}, .targets = {1, 2, 3}, .target_counts = counts});
    EXPECT_THROW(decode_plan(encode(plan)), Error);
  }
}

TEST(StepPlan, TokensAreChosenAsLongAsTheDraftsHold) {
  const StepSequence sequence{.tokens = {5, 8, 9}, .sample = true, .drafts = 2};
  EXPECT_TRUE(goes_on(sequence, {}));
  EXPECT_TRUE(goes_on(sequence, {.tokens = {8}}));
  EXPECT_FALSE(goes_on(sequence, {.tokens = {7}}));
  EXPECT_TRUE(goes_on(sequence, {.tokens = {8, 9}}));
  EXPECT_FALSE(goes_on(sequence, {.tokens = {8, 7}}));
  EXPECT_FALSE(goes_on(sequence, {.tokens = {8, 9, 1}})) << "no row is left";
}

}  // namespace
}  // namespace trireme
