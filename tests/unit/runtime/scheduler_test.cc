// The scheduler against a model that needs no tensors: the next token is a hash of all tokens
// before it, recomputed from what the step plans wrote into a simulated cache. Whatever is chunked,
// batched, preempted or shared, every sequence must come out the same.
#include "runtime/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "fake_rank.h"

namespace trireme {
namespace {

std::vector<SequenceRequest> random_requests(std::mt19937& random, int count, int longest) {
  std::vector<SequenceRequest> requests;
  for (int i = 0; i < count; ++i) {
    SequenceRequest r{.id = static_cast<std::uint64_t>(i)};
    const int length = 1 + static_cast<int>(random() % static_cast<unsigned>(longest));
    // Two out of three begin alike, so that prefixes are shared.
    const std::int32_t base = random() % 3 == 0 ? static_cast<std::int32_t>(random() % 50) : 0;
    for (int t = 0; t < length; ++t) r.tokens.push_back(base + t % 40);
    r.max_new_tokens = 1 + static_cast<std::int64_t>(random() % 60);
    requests.push_back(r);
  }
  return requests;
}

struct Outcome {
  std::map<std::uint64_t, std::vector<std::int32_t>> tokens;
  std::int64_t preemptions = 0;
  std::int64_t steps = 0;
};

Outcome run(const SchedulerLimits& limits, const std::vector<SequenceRequest>& requests) {
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks);
  for (const SequenceRequest& request : requests) scheduler.add(request);
  Outcome outcome;
  std::deque<StepPlan> in_flight;
  while (!scheduler.idle()) {
    while (static_cast<int>(in_flight.size()) < limits.micro_batches) {
      std::optional<StepPlan> plan = scheduler.schedule();
      if (!plan) break;
      EXPECT_LE(plan->rows(), limits.max_step_tokens);
      in_flight.push_back(std::move(*plan));
    }
    if (in_flight.empty()) {
      ADD_FAILURE() << "the scheduler is stuck";
      return outcome;
    }
    for (const SequenceEvent& event : scheduler.complete(rank.execute(in_flight.front()))) {
      std::vector<std::int32_t>& tokens = outcome.tokens[event.id];
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
    }
    in_flight.pop_front();
    ++outcome.steps;
  }
  outcome.preemptions = scheduler.preemptions();
  return outcome;
}

TEST(Scheduler, EverySequenceComesOutTheSameUnderAnyLimits) {
  std::mt19937 random(5);
  const std::vector<SequenceRequest> requests = random_requests(random, 40, 150);
  std::int64_t preemptions = 0;
  for (const std::int64_t blocks : {8, 11, 40, 400}) {
    for (const std::int64_t tokens : {1, 7, 32, 33, 512}) {
      for (const int micro_batches : {1, 2, 4}) {
        const Outcome outcome = run({.blocks = blocks,
                                     .max_sequences = 16,
                                     .max_step_tokens = tokens,
                                     .max_model_len = 250,
                                     .micro_batches = micro_batches},
                                    requests);
        ASSERT_EQ(outcome.tokens.size(), requests.size());
        for (const SequenceRequest& r : requests) {
          ASSERT_EQ(outcome.tokens.at(r.id), expected_tokens(r.tokens, r.max_new_tokens))
              << "blocks " << blocks << " tokens " << tokens << " micro " << micro_batches;
        }
        preemptions += outcome.preemptions;
      }
    }
  }
  EXPECT_GT(preemptions, 0) << "the small caches must have forced some";
}

TEST(Scheduler, SharedPrefixesAreComputedOnce) {
  SequenceRequest first{.id = 1, .tokens = std::vector<std::int32_t>(320, 3), .max_new_tokens = 1};
  SequenceRequest second = first;
  second.id = 2;
  second.tokens.push_back(9);
  Scheduler scheduler({.blocks = 64, .max_step_tokens = 512, .max_model_len = 400});
  FakeRank rank(64);
  scheduler.add(first);
  while (!scheduler.idle()) (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  scheduler.add(second);
  const StepPlan plan = scheduler.schedule().value();
  EXPECT_EQ(plan.rows(), 1) << "ten full blocks are remembered";
  EXPECT_EQ(scheduler.complete(rank.execute(plan)).front().tokens,
            expected_tokens(second.tokens, 1));
}

TEST(Scheduler, SequencesThatComeTogetherShareToo) {
  for (const int micro_batches : {1, 3}) {
    Scheduler scheduler({.blocks = 200,
                         .max_step_tokens = 100,
                         .max_model_len = 400,
                         .micro_batches = micro_batches});
    FakeRank rank(200);
    for (std::uint64_t id = 0; id < 8; ++id) {
      SequenceRequest request{
          .id = id, .tokens = std::vector<std::int32_t>(320, 3), .max_new_tokens = 1};
      request.tokens.push_back(static_cast<std::int32_t>(id));
      scheduler.add(request);
    }
    std::int64_t rows = 0;
    std::deque<StepPlan> in_flight;
    while (!scheduler.idle()) {
      if (std::optional<StepPlan> plan = scheduler.schedule()) {
        rows += plan->rows();
        in_flight.push_back(std::move(*plan));
        if (static_cast<int>(in_flight.size()) < micro_batches) continue;
      }
      (void)scheduler.complete(rank.execute(in_flight.front()));
      in_flight.pop_front();
    }
    // With several steps in flight, parts of blocks are computed by more than one.
    EXPECT_LE(rows, 320 + 8 + (micro_batches == 1 ? 0 : 100)) << micro_batches;
  }
}

TEST(Scheduler, ScoringGivesEveryTargetOnceWhateverTheChunks) {
  SequenceRequest request{.id = 4, .score = true};
  for (std::int32_t i = 0; i < 100; ++i) request.tokens.push_back(i * 7 % 90);
  std::vector<float> first;
  for (const std::int64_t tokens : {1, 31, 32, 200}) {
    Scheduler scheduler({.blocks = 8, .max_step_tokens = tokens, .max_model_len = 200});
    FakeRank rank(8);
    scheduler.add(request);
    std::vector<SequenceEvent> events;
    while (!scheduler.idle()) {
      for (SequenceEvent& e : scheduler.complete(rank.execute(scheduler.schedule().value()))) {
        events.push_back(std::move(e));
      }
    }
    ASSERT_EQ(events.size(), 1u);
    ASSERT_EQ(events.front().logprobs.size(), 99u);
    if (first.empty()) first = events.front().logprobs;
    EXPECT_EQ(events.front().logprobs, first);
  }
}

TEST(Scheduler, EndTokensAndLengthsEndSequences) {
  SequenceRequest request{.id = 1, .tokens = {5, 6}, .max_new_tokens = 50};
  const std::vector<std::int32_t> all = expected_tokens(request.tokens, 50);
  request.end_tokens = {all[9]};
  const Outcome outcome =
      run({.blocks = 8, .max_step_tokens = 16, .max_model_len = 200}, {request});
  EXPECT_EQ(outcome.tokens.at(1).back(), all[9]);
  EXPECT_LE(outcome.tokens.at(1).size(), 10u);
  request.end_tokens.clear();
  const Outcome limited = run({.blocks = 8, .max_step_tokens = 16, .max_model_len = 30}, {request});
  EXPECT_EQ(limited.tokens.at(1).size(), 28u) << "the context is full";
}

TEST(Scheduler, TheLengthLimitIsMaxModelLenWhateverTheCache) {
  std::mt19937 random(9);
  std::vector<SequenceRequest> requests = random_requests(random, 6, 150);
  for (SequenceRequest& request : requests) request.max_new_tokens = 10000;
  constexpr std::int64_t longest = 250;  // eight blocks, the last not full
  for (const std::int64_t blocks : {8, 9, 17, 400}) {
    for (const int micro_batches : {1, 2, 4}) {
      const Outcome outcome = run({.blocks = blocks,
                                   .max_step_tokens = 64,
                                   .max_model_len = longest,
                                   .micro_batches = micro_batches},
                                  requests);
      for (const SequenceRequest& r : requests) {
        const auto room = longest - static_cast<std::int64_t>(r.tokens.size());
        ASSERT_EQ(outcome.tokens.at(r.id), expected_tokens(r.tokens, room))
            << blocks << " blocks, micro " << micro_batches;
      }
    }
  }
}

TEST(SchedulerDeathTest, ACacheBelowOneSequenceIsABug) {
  EXPECT_DEATH(Scheduler({.blocks = 7, .max_model_len = 250}), "max_model_len");
}

TEST(Scheduler, CancelledSequencesGiveTheirBlocksBack) {
  Scheduler scheduler({.blocks = 4, .max_step_tokens = 64, .max_model_len = 128});
  FakeRank rank(4);
  for (std::uint64_t round = 0; round < 20; ++round) {
    scheduler.add({.id = round,
                   .tokens = std::vector<std::int32_t>(60, static_cast<std::int32_t>(round)),
                   .max_new_tokens = 60});
    (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
    scheduler.cancel(round);
    EXPECT_TRUE(scheduler.idle());
  }
}

TEST(Scheduler, ASequenceCancelledInFlightGoesWhenItsStepCompletes) {
  Scheduler scheduler(
      {.blocks = 4, .max_step_tokens = 64, .max_model_len = 128, .micro_batches = 2});
  FakeRank rank(4);
  for (const std::uint64_t id : {1u, 2u}) {
    scheduler.add({.id = id, .tokens = std::vector<std::int32_t>(40, 7), .max_new_tokens = 3});
  }
  const StepPlan first = scheduler.schedule().value();
  const StepPlan second = scheduler.schedule().value();
  scheduler.cancel(1);
  scheduler.add({.id = 1, .tokens = std::vector<std::int32_t>(100, 9), .max_new_tokens = 1});
  EXPECT_FALSE(scheduler.schedule()) << "its blocks are in use until then";
  EXPECT_TRUE(scheduler.complete(rank.execute(first)).empty());
  EXPECT_EQ(scheduler.running(), 1);
  EXPECT_EQ(scheduler.complete(rank.execute(second)).size(), 1u);
  std::map<std::uint64_t, std::size_t> tokens;
  while (!scheduler.idle()) {
    for (const auto& event : scheduler.complete(rank.execute(scheduler.schedule().value()))) {
      ++tokens[event.id];
    }
  }
  EXPECT_EQ(tokens, (std::map<std::uint64_t, std::size_t>{{1, 1}, {2, 2}}));
}

}  // namespace
}  // namespace trireme
