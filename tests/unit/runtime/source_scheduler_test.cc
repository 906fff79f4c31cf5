// The scheduler for encoder-decoders and for whole sequences, against models that need no tensors:
// what a step computes comes from the blocks that earlier steps have written, and nothing else.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "runtime/scheduler.h"

namespace trireme {
namespace {

constexpr std::size_t block_tokens = 32;

std::int32_t hash_of(const std::vector<std::int32_t>& source,
                     const std::vector<std::int32_t>& tokens) {
  std::uint32_t hash = 17;
  for (const auto* list : {&source, &tokens}) {
    for (const std::int32_t id : *list) hash = hash * 31 + static_cast<std::uint32_t>(id) + 7;
  }
  return static_cast<std::int32_t>(hash % 1000);
}

/// Writes tokens into blocks, and chooses the next token from what it reads there.
class FakePair {
 public:
  StepResult execute(const StepPlan& plan) {
    StepResult result;
    for (const StepSequence& sequence : plan.sequences) {
      SequenceOutput& output = result.emplace_back();
      if (plan.encode) {
        EXPECT_EQ(sequence.source_tokens, static_cast<std::int64_t>(sequence.tokens.size()));
        EXPECT_TRUE(sequence.blocks.empty());
        write(sequence.source_blocks, 0, sequence.tokens);
        continue;
      }
      write(sequence.blocks, sequence.position_begin, sequence.tokens);
      if (!sequence.sample) continue;
      const std::int64_t length =
          sequence.position_begin + static_cast<std::int64_t>(sequence.tokens.size());
      output.tokens = {hash_of(read(sequence.source_blocks, sequence.source_tokens),
                               read(sequence.blocks, length))};
    }
    return result;
  }

 private:
  void write(const std::vector<std::int32_t>& blocks, std::int64_t begin,
             const std::vector<std::int32_t>& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::size_t position = static_cast<std::size_t>(begin) + i;
      cells_[{blocks.at(position / block_tokens), position % block_tokens}] = tokens[i];
    }
  }
  std::vector<std::int32_t> read(const std::vector<std::int32_t>& blocks, std::int64_t length) {
    std::vector<std::int32_t> tokens;
    for (std::size_t i = 0; i < static_cast<std::size_t>(length); ++i) {
      tokens.push_back(cells_.at({blocks.at(i / block_tokens), i % block_tokens}));
    }
    return tokens;
  }

  std::map<std::pair<std::int32_t, std::size_t>, std::int32_t> cells_;
};

TEST(SourceScheduler, EverySequenceSeesItsSourceUnderAnyLimits) {
  std::mt19937 random(3);
  std::vector<SequenceRequest> requests;
  for (std::uint64_t id = 0; id < 40; ++id) {
    SequenceRequest request{.id = id, .tokens = {0}};
    for (std::uint32_t i = 0; i <= random() % 90; ++i) {
      request.source.push_back(static_cast<std::int32_t>(random() % 50));
    }
    request.max_new_tokens = 1 + static_cast<std::int64_t>(random() % 60);
    requests.push_back(std::move(request));
  }
  std::int64_t preemptions = 0;
  for (const std::int64_t blocks : {6, 9, 40, 400}) {
    for (const std::int64_t rows : {90, 200}) {
      for (const int micro_batches : {1, 3}) {
        Scheduler scheduler({.blocks = blocks,
                             .max_sequences = 16,
                             .max_step_tokens = rows,
                             .max_model_len = 90,
                             .max_source_len = 90,
                             .micro_batches = micro_batches});
        for (const SequenceRequest& request : requests) scheduler.add(request);
        FakePair pair;
        std::deque<StepPlan> in_flight;
        std::map<std::uint64_t, std::vector<std::int32_t>> tokens;
        while (!scheduler.idle()) {
          while (static_cast<int>(in_flight.size()) < micro_batches) {
            std::optional<StepPlan> plan = scheduler.schedule();
            if (!plan) break;
            EXPECT_LE(plan->rows(), rows);
            in_flight.push_back(std::move(*plan));
          }
          ASSERT_FALSE(in_flight.empty()) << "the scheduler is stuck";
          for (const SequenceEvent& event : scheduler.complete(pair.execute(in_flight.front()))) {
            tokens[event.id].insert(tokens[event.id].end(), event.tokens.begin(),
                                    event.tokens.end());
          }
          in_flight.pop_front();
        }
        for (const SequenceRequest& request : requests) {
          std::vector<std::int32_t> all = request.tokens;
          while (static_cast<std::int64_t>(all.size()) < 1 + request.max_new_tokens) {
            all.push_back(hash_of(request.source, all));
          }
          all.erase(all.begin());
          ASSERT_EQ(tokens.at(request.id), all) << blocks << " blocks, sequence " << request.id;
        }
        preemptions += scheduler.preemptions();
      }
    }
  }
  EXPECT_GT(preemptions, 0) << "the small caches must have forced some";
}

TEST(SourceScheduler, WholeSequencesShareStepsAndTakeNoBlocks) {
  Scheduler scheduler(
      {.max_sequences = 4, .max_step_tokens = 100, .max_model_len = 100, .whole_sequences = true});
  const std::vector<std::size_t> lengths{100, 1, 60, 50, 40, 1, 1, 1, 1, 1};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    SequenceRequest request{.id = i, .whole = true};
    request.tokens.assign(lengths[i], 3);
    scheduler.add(std::move(request));
  }
  std::vector<std::uint64_t> finished;
  for (int steps = 0; !scheduler.idle(); ++steps) {
    ASSERT_LT(steps, 20);
    const std::optional<StepPlan> plan = scheduler.schedule();
    ASSERT_TRUE(plan.has_value());
    EXPECT_LE(plan->rows(), 100);
    EXPECT_LE(plan->sequences.size(), 4u);
    StepResult result(plan->sequences.size());
    for (std::size_t i = 0; i < result.size(); ++i) {
      EXPECT_TRUE(plan->sequences[i].blocks.empty());
      EXPECT_EQ(plan->sequences[i].position_begin, 0);
      result[i].values = {static_cast<float>(plan->sequences[i].tokens.size())};
    }
    for (const SequenceEvent& event : scheduler.complete(std::move(result))) {
      EXPECT_TRUE(event.finished);
      EXPECT_EQ(event.values.at(0), static_cast<float>(lengths[event.id]));
      finished.push_back(event.id);
    }
  }
  EXPECT_EQ(finished.size(), lengths.size());
}

TEST(SourceScheduler, ACancelledSequenceGivesItsSourceBack) {
  Scheduler scheduler({.blocks = 6,
                       .max_sequences = 4,
                       .max_step_tokens = 96,
                       .max_model_len = 96,
                       .max_source_len = 96});
  FakePair pair;
  for (std::uint64_t id = 0; id < 20; ++id) {
    SequenceRequest request{.id = id, .tokens = {0}};
    request.source.assign(96, static_cast<std::int32_t>(id));
    request.max_new_tokens = 90;
    scheduler.add(std::move(request));
    const std::optional<StepPlan> encode = scheduler.schedule();
    ASSERT_TRUE(encode && encode->encode) << id;
    if (id % 2 == 0) scheduler.cancel(id);  // in flight
    (void)scheduler.complete(pair.execute(*encode));
    if (id % 2 == 1) scheduler.cancel(id);
    EXPECT_TRUE(scheduler.idle());
  }
}

}  // namespace
}  // namespace trireme
