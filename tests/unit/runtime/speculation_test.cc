// The scheduler with drafts: the same tokens as without, in fewer steps, and nobody else waits.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "fake_rank.h"
#include "runtime/scheduler.h"

namespace trireme {
namespace {

using Tokens = std::vector<std::int32_t>;

constexpr std::int64_t off = 0;

/// Mostly what followed the last two tokens before, so that drafts often hold; a hash of all tokens
/// says when not, so that a wrong token anywhere shows.
std::int32_t repeating_model(std::span<const std::int32_t> tokens) {
  const std::int32_t hash = hash_model(tokens);
  if (hash % 11 == 0 || tokens.size() < 2) return hash % 7;
  return (tokens[tokens.size() - 1] * 3 + tokens[tokens.size() - 2]) % 7;
}

std::vector<SequenceRequest> some_requests(int count) {
  std::mt19937 random(11);
  std::vector<SequenceRequest> requests;
  for (int i = 0; i < count; ++i) {
    SequenceRequest r{.id = static_cast<std::uint64_t>(i)};
    for (auto length = 1 + random() % 90; length > 0; --length) {
      r.tokens.push_back(static_cast<std::int32_t>((i % 3 == 0 ? random() : length) % 7));
    }
    r.max_new_tokens = 1 + static_cast<std::int64_t>(random() % 120);
    requests.push_back(r);
  }
  return requests;
}

struct Outcome {
  std::map<std::uint64_t, Tokens> tokens;
  std::int64_t steps = 0;
  std::int64_t drafted = 0;
  std::int64_t accepted = 0;
  std::int64_t preemptions = 0;
};

Outcome run(const SchedulerLimits& limits, const std::vector<SequenceRequest>& requests) {
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks, repeating_model);
  for (const SequenceRequest& request : requests) scheduler.add(request);
  Outcome outcome;
  std::deque<StepPlan> in_flight;
  while (!scheduler.idle()) {
    while (static_cast<int>(in_flight.size()) < limits.micro_batches) {
      std::optional<StepPlan> plan = scheduler.schedule();
      if (!plan) break;
      EXPECT_LE(plan->rows(), limits.max_step_tokens);
      in_flight.push_back(decode_plan(encode(*plan)));
    }
    if (in_flight.empty()) {
      ADD_FAILURE() << "the scheduler is stuck";
      return outcome;
    }
    for (const SequenceEvent& event : scheduler.complete(rank.execute(in_flight.front()))) {
      Tokens& tokens = outcome.tokens[event.id];
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
    }
    in_flight.pop_front();
    ++outcome.steps;
  }
  outcome.drafted = scheduler.drafted();
  outcome.accepted = scheduler.accepted();
  outcome.preemptions = scheduler.preemptions();
  return outcome;
}

SchedulerLimits limits_with(std::int64_t drafts) {
  return {.blocks = 40,
          .max_step_tokens = 64,
          .max_model_len = 250,
          .speculation = {.max_drafts = drafts, .ngram_min = 1}};
}

TEST(Speculation, EverySequenceComesOutTheSameUnderAnyLimits) {
  const std::vector<SequenceRequest> requests = some_requests(30);
  std::int64_t preemptions = 0;
  for (const std::int64_t blocks : {8, 11, 40, 400}) {
    for (const std::int64_t tokens : {1, 7, 33, 512}) {
      for (const int micro_batches : {1, 2, 4}) {
        for (const std::int64_t drafts : {1, 4, 40}) {
          const Outcome outcome = run({.blocks = blocks,
                                       .max_sequences = 12,
                                       .max_step_tokens = tokens,
                                       .max_model_len = 250,
                                       .micro_batches = micro_batches,
                                       .speculation = {.max_drafts = drafts, .ngram_min = 1}},
                                      requests);
          for (const SequenceRequest& r : requests) {
            ASSERT_EQ(outcome.tokens.at(r.id),
                      expected_tokens(r.tokens, r.max_new_tokens, repeating_model))
                << blocks << " blocks, " << tokens << " tokens, " << micro_batches << " stages, "
                << drafts << " drafts";
          }
          EXPECT_EQ(outcome.drafted > 0, tokens > 1);
          EXPECT_LE(outcome.accepted, outcome.drafted);
          preemptions += outcome.preemptions;
        }
      }
    }
  }
  EXPECT_GT(preemptions, 0) << "the small caches must have forced some";
}

TEST(Speculation, AcceptedDraftsSaveSteps) {
  const std::vector<SequenceRequest> requests{
      {.id = 1, .tokens = {1, 2, 3, 1, 2, 3}, .max_new_tokens = 150}};
  const Outcome plain = run(limits_with(off), requests);
  const Outcome drafted = run(limits_with(6), requests);
  EXPECT_EQ(drafted.tokens, plain.tokens);
  EXPECT_EQ(plain.steps, 150);
  EXPECT_EQ(plain.drafted, 0);
  EXPECT_EQ(drafted.steps, plain.steps - drafted.accepted);
  EXPECT_LT(drafted.steps, 100);
}

TEST(Speculation, EndTokensEndWithinAcceptedDrafts) {
  SequenceRequest request{.id = 1, .tokens = {1, 2, 3}, .max_new_tokens = 100};
  for (std::int32_t end = 0; end < 7; ++end) {
    request.end_tokens = {end};
    EXPECT_EQ(run(limits_with(8), {request}).tokens, run(limits_with(off), {request}).tokens);
  }
}

TEST(Speculation, LengthsAreTheSame) {
  SequenceRequest request{.id = 1, .tokens = Tokens(40, 3), .max_new_tokens = 1000};
  for (std::int64_t longest = 41; longest < 80; ++longest) {
    SchedulerLimits limits = limits_with(8);
    limits.max_model_len = longest;
    EXPECT_EQ(run(limits, {request}).tokens.at(1).size(), static_cast<std::size_t>(longest - 40));
  }
}

TEST(Speculation, DraftsTakeOnlyRowsThatAreLeftOver) {
  SchedulerLimits limits = limits_with(8);
  limits.max_step_tokens = 20;
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks, repeating_model);
  scheduler.add({.id = 1, .tokens = Tokens(10, 4), .max_new_tokens = 50});
  (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  scheduler.add({.id = 2, .tokens = Tokens(60, 5), .max_new_tokens = 1});
  const StepPlan plan = scheduler.schedule().value();
  ASSERT_EQ(plan.sequences.size(), 2u);
  EXPECT_EQ(plan.sequences[0].drafts, 0) << "the prompt takes all rows";
  EXPECT_EQ(plan.sequences[1].tokens.size(), 19u);
}

TEST(Speculation, StepsWithManyRowsHaveNoDrafts) {
  SchedulerLimits limits = limits_with(8);
  limits.speculation.max_rows = 6;
  const std::vector<SequenceRequest> requests = some_requests(12);
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks, repeating_model);
  for (const SequenceRequest& request : requests) scheduler.add(request);
  while (!scheduler.idle()) {
    const StepPlan plan = scheduler.schedule().value();
    std::int64_t drafts = 0;
    for (const StepSequence& sequence : plan.sequences) drafts += sequence.drafts;
    if (drafts > 0) {
      EXPECT_LE(plan.rows(), 6);
    }
    (void)scheduler.complete(rank.execute(plan));
  }
  EXPECT_GT(scheduler.drafted(), 0);
}

TEST(Speculation, DraftsTakeNoBlockThatAnotherWaitsFor) {
  SchedulerLimits limits = limits_with(8);
  limits.blocks = 8;
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks, [](auto) { return 4; });
  scheduler.add({.id = 1, .tokens = Tokens(29, 4), .max_new_tokens = 50});
  scheduler.add({.id = 2, .tokens = Tokens(230, 5), .max_new_tokens = 1});
  (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  ASSERT_EQ(scheduler.waiting(), 1) << "for all eight blocks";
  StepPlan plan = scheduler.schedule().value();
  EXPECT_EQ(plan.sequences[0].drafts, 2) << "what its block has room for";
  EXPECT_EQ(plan.sequences[0].blocks.size(), 1u);
  (void)scheduler.complete(rank.execute(plan));
  scheduler.cancel(2);
  plan = scheduler.schedule().value();
  EXPECT_EQ(plan.sequences[0].drafts, 8);
  EXPECT_EQ(plan.sequences[0].blocks.size(), 2u);
}

TEST(Speculation, BlocksOfRejectedDraftsAreGivenBackAndNotRemembered) {
  SchedulerLimits limits = limits_with(20);
  Scheduler scheduler(limits);
  // The prompt says that ones follow; the model says otherwise.
  const FakeModel stubborn = [](std::span<const std::int32_t> tokens) {
    return tokens.size() < 31 ? 1 : static_cast<std::int32_t>(tokens.size() % 1000) + 2;
  };
  FakeRank rank(limits.blocks, stubborn);
  const Tokens prompt(30, 1);
  scheduler.add({.id = 1, .tokens = prompt, .max_new_tokens = 2});
  (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  StepPlan plan = scheduler.schedule().value();
  EXPECT_EQ(plan.sequences[0].drafts, 0) << "one token is left to generate";
  (void)scheduler.complete(rank.execute(plan));

  scheduler.add({.id = 2, .tokens = prompt, .max_new_tokens = 40});
  (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  plan = scheduler.schedule().value();
  EXPECT_EQ(plan.sequences[0].drafts, 20);
  EXPECT_EQ(plan.sequences[0].blocks.size(), 2u);
  const auto events = scheduler.complete(rank.execute(plan));
  EXPECT_EQ(events.front().tokens, expected_tokens(Tokens(31, 1), 1, stubborn));
  // Whoever begins with what the rejected drafts said must not find them in the cache.
  scheduler.add({.id = 3, .tokens = Tokens(60, 1), .max_new_tokens = 1});
  plan = scheduler.schedule().value();
  ASSERT_EQ(plan.sequences.size(), 2u);
  EXPECT_EQ(plan.sequences[0].position_begin, 31);
  EXPECT_EQ(plan.sequences[0].blocks.size(), 1u);
  EXPECT_EQ(plan.sequences[1].position_begin, 0);
}

}  // namespace
}  // namespace trireme
