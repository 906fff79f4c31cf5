// The scheduler on trees of continuations, against a model that needs no tensors (fake_rank.h):
// whatever is chunked, batched, split, copied, preempted or shared, every target comes out as if
// its way through the tree had been computed alone.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "fake_rank.h"
#include "runtime/scheduler.h"

namespace trireme {
namespace {

using Ways = std::vector<std::vector<std::int32_t>>;

struct Row {
  SequenceRequest request;
  Ways ways;
  Continuations all;
};

Row row_of(std::uint64_t id, std::vector<std::int32_t> text, Ways ways) {
  Row row{{.id = id, .tokens = std::move(text)}, std::move(ways), {}};
  row.all = grow_tree(row.ways, std::vector<std::int32_t>{900});
  row.request.tree = std::make_shared<const TokenTree>(row.all.tree);
  return row;
}

/// Few different tokens, so that ways share beginnings and some begin others.
Ways random_ways(std::mt19937& random, int count, unsigned longest) {
  std::map<std::vector<std::int32_t>, bool> ways;
  for (int i = 0; i < count; ++i) {
    std::vector<std::int32_t> way(1 + random() % longest);
    for (std::int32_t& token : way) token = static_cast<std::int32_t>(100 + random() % 4);
    ways[way] = true;
  }
  Ways list;
  for (const auto& [way, _] : ways) list.push_back(way);
  return list;
}

std::vector<Row> random_rows(std::mt19937& random, std::uint64_t count) {
  std::vector<Row> rows;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::vector<std::int32_t> text;
    const std::size_t length = 1 + random() % 100;
    for (std::size_t t = 0; t < length; ++t) text.push_back(static_cast<std::int32_t>(t % 40));
    rows.push_back(row_of(i, std::move(text), random_ways(random, 25, i % 4 == 0 ? 40 : 4)));
  }
  return rows;
}

/// What a way's steps must be: the token after each beginning, less the target.
std::vector<float> expected(const Row& row, std::size_t way) {
  std::vector<std::int32_t> tokens = row.request.tokens;
  std::vector<float> values;
  for (const std::int32_t token : row.ways[way]) {
    values.push_back(static_cast<float>(hash_model(tokens) - token));
    tokens.push_back(token);
  }
  if (!row.all.ways[way].ends.empty()) {
    values.push_back(static_cast<float>(hash_model(tokens) - 900));
  }
  return values;
}

void check(const Row& row, const std::vector<float>& logprobs) {
  for (std::size_t i = 0; i < row.ways.size(); ++i) {
    std::vector<std::int32_t> places = row.all.ways[i].steps;
    places.insert(places.end(), row.all.ways[i].ends.begin(), row.all.ways[i].ends.end());
    std::vector<float> values;
    for (const std::int32_t at : places)
      values.push_back(logprobs.at(static_cast<std::size_t>(at)));
    ASSERT_EQ(values, expected(row, i)) << "row " << row.request.id << " way " << i;
  }
}

struct Work {
  std::int64_t rows = 0;
  std::int64_t steps = 0;
  std::int64_t copies = 0;
  std::int64_t preemptions = 0;
};

Work run(const SchedulerLimits& limits, const std::vector<Row>& rows,
         const std::vector<SequenceRequest>& others = {}) {
  Scheduler scheduler(limits);
  FakeRank rank(limits.blocks);
  for (const SequenceRequest& other : others) scheduler.add(other);
  for (const Row& row : rows) scheduler.add(row.request);
  std::map<std::uint64_t, std::vector<float>> finished;
  std::map<std::uint64_t, std::vector<std::int32_t>> generated;
  std::deque<StepPlan> in_flight;
  Work work;
  while (!scheduler.idle()) {
    while (static_cast<int>(in_flight.size()) < limits.micro_batches) {
      std::optional<StepPlan> plan = scheduler.schedule();
      if (!plan) break;
      EXPECT_LE(plan->rows(), limits.max_step_tokens);
      EXPECT_LE(scheduler.running(), limits.max_sequences);
      work.rows += plan->rows();
      work.copies += static_cast<std::int64_t>(plan->copies.size());
      in_flight.push_back(std::move(*plan));
    }
    if (in_flight.empty()) {
      ADD_FAILURE() << "the scheduler is stuck";
      return work;
    }
    for (SequenceEvent& event : scheduler.complete(rank.execute(in_flight.front()))) {
      std::vector<std::int32_t>& tokens = generated[event.id];
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
      if (!event.finished) continue;
      EXPECT_TRUE(finished.emplace(event.id, std::move(event.logprobs)).second) << "twice";
    }
    in_flight.pop_front();
    ++work.steps;
  }
  work.preemptions = scheduler.preemptions();
  for (const Row& row : rows) check(row, finished[row.request.id]);
  for (const SequenceRequest& other : others) {
    EXPECT_EQ(generated[other.id], expected_tokens(other.tokens, other.max_new_tokens));
  }
  return work;
}

TEST(TreeScheduler, EveryTargetComesOutTheSameUnderAnyLimits) {
  std::mt19937 random(7);
  const std::vector<Row> rows = random_rows(random, 12);
  std::vector<SequenceRequest> others;
  for (std::uint64_t i = 0; i < 6; ++i) {
    others.push_back(
        {.id = 100 + i, .tokens = std::vector<std::int32_t>(20 + 17 * i, 3), .max_new_tokens = 30});
  }
  Work all;
  for (const std::int64_t blocks : {5, 8, 40, 400}) {
    for (const std::int64_t tokens : {1, 7, 33, 512}) {
      for (const int micro_batches : {1, 3}) {
        for (const std::int64_t sequences : {1, 4, 64}) {
          const Work work = run({.blocks = blocks,
                                 .max_sequences = sequences,
                                 .max_step_tokens = tokens,
                                 .max_model_len = 160,
                                 .micro_batches = micro_batches},
                                rows, others);
          if (HasFatalFailure()) return;
          all.copies += work.copies;
          all.preemptions += work.preemptions;
        }
      }
    }
  }
  EXPECT_GT(all.copies, 0);
  EXPECT_GT(all.preemptions, 0) << "the small caches must have forced some";
}

/// Text and nodes, each once: the root is the text's last token.
std::int64_t least_rows(const Row& row) {
  return static_cast<std::int64_t>(row.request.tokens.size() + row.all.tree.nodes.size()) - 1;
}

TEST(TreeScheduler, EachTokenIsComputedOnceWhereverTheTextEnds) {
  std::mt19937 random(3);
  for (const std::size_t length : {1u, 31u, 32u, 33u, 63u, 64u, 65u, 90u}) {
    for (const std::int64_t sequences : {1, 2, 64}) {
      const Row row = row_of(1, std::vector<std::int32_t>(length, 5), random_ways(random, 60, 5));
      const Work work = run(
          {.blocks = 200, .max_sequences = sequences, .max_step_tokens = 512, .max_model_len = 128},
          {row});
      EXPECT_EQ(work.rows, least_rows(row)) << length << " tokens, " << sequences << " sequences";
    }
  }
}

TEST(TreeScheduler, ATextAloneSpreadsOverTheStep) {
  Ways ways;
  for (std::int32_t i = 0; i < 60; ++i) ways.push_back({100 + i, 7});
  const Row row = row_of(1, std::vector<std::int32_t>(40, 5), ways);
  const SchedulerLimits limits{
      .blocks = 200, .max_sequences = 64, .max_step_tokens = 512, .max_model_len = 128};
  const Work work = run(limits, {row});
  EXPECT_EQ(work.steps, 2) << "the text with the first label's token, then all others";
  EXPECT_EQ(work.rows, least_rows(row));
}

TEST(TreeScheduler, ACacheForOneWayIsEnough) {
  std::mt19937 random(11);
  const Row row = row_of(1, std::vector<std::int32_t>(40, 5), random_ways(random, 80, 20));
  const Work work =
      run({.blocks = 2, .max_sequences = 64, .max_step_tokens = 64, .max_model_len = 64}, {row});
  EXPECT_EQ(work.rows, least_rows(row)) << "no more work for want of memory";
  EXPECT_EQ(work.copies, 0);
}

TEST(TreeScheduler, TextsThatBeginAlikeShareWhatTheyHaveInCommon) {
  std::vector<std::int32_t> text(70, 5);
  const Row first = row_of(1, text, {{1, 2}, {3, 4}});
  text.push_back(6);
  const Row second = row_of(2, text, {{1, 2}, {3, 4}});
  const Work work =
      run({.blocks = 50, .max_sequences = 1, .max_step_tokens = 512, .max_model_len = 128},
          {first, second});
  EXPECT_EQ(work.rows, least_rows(first) + least_rows(second) - 64);
}

TEST(TreeScheduler, WhatATextAsksAboutIsNotTakenFromAnother) {
  const Row longer = row_of(1, std::vector<std::int32_t>(128, 5), {{1}, {3}});
  const Row shorter = row_of(2, std::vector<std::int32_t>(64, 5), {{5, 1}, {3}});
  run({.blocks = 50, .max_sequences = 1, .max_step_tokens = 512, .max_model_len = 128},
      {longer, shorter});
}

TEST(TreeScheduler, WhatIsWrittenAgainIsNotRemembered) {
  const std::vector<std::int32_t> text(40, 5);
  Ways ways(2, std::vector<std::int32_t>(40, 6));
  ways[1][0] = 7;
  const Row walked = row_of(1, text, ways);
  std::vector<std::int32_t> longer = text;
  longer.insert(longer.end(), ways[0].begin(), ways[0].end());
  const Row after = row_of(2, longer, {{1, 2}});
  run({.blocks = 50, .max_sequences = 1, .max_step_tokens = 512, .max_model_len = 128},
      {walked, after});
}

TEST(TreeScheduler, CancelledTreesGoAltogether) {
  Ways ways;
  for (std::int32_t i = 0; i < 60; ++i) ways.push_back({100 + i, 7, 8});
  const Row row = row_of(1, std::vector<std::int32_t>(40, 5), ways);
  Scheduler scheduler({.blocks = 200,
                       .max_sequences = 8,
                       .max_step_tokens = 512,
                       .max_model_len = 128,
                       .micro_batches = 2});
  FakeRank rank(200);
  scheduler.add(row.request);
  (void)scheduler.complete(rank.execute(scheduler.schedule().value()));
  const StepPlan flying = scheduler.schedule().value();
  EXPECT_GT(scheduler.running(), 1);
  scheduler.cancel(1);
  EXPECT_TRUE(scheduler.complete(rank.execute(flying)).empty());
  EXPECT_TRUE(scheduler.idle());
}

}  // namespace
}  // namespace trireme
