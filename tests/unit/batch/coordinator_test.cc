// Rows to workers and back: in order, evenly, within bounds, and exactly once whoever dies.
#include "batch/coordinator.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace trireme {
namespace {

void add_rows(Coordinator& coordinator, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t index = coordinator.total_rows();
    coordinator.add_row({index, index + 1, "row"});
  }
}

std::vector<std::uint64_t> indices(const std::vector<RawRow>& rows) {
  std::vector<std::uint64_t> out;
  for (const RawRow& row : rows) out.push_back(row.index);
  return out;
}

using Indices = std::vector<std::uint64_t>;

TEST(Coordinator, HandsOutInOrderUpToCapacity) {
  Coordinator coordinator;
  add_rows(coordinator, 100);
  coordinator.add_worker(1, 3);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0, 1, 2}));
  EXPECT_TRUE(coordinator.rows_for(1).empty());
  EXPECT_EQ(coordinator.on_result(1, 5, false)->index, 1u);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{3}));
  EXPECT_EQ(coordinator.in_flight(1), 3u);
  EXPECT_EQ(coordinator.finished_rows(), 1u);
}

TEST(Coordinator, SharesTheEndOut) {
  Coordinator coordinator;
  add_rows(coordinator, 10);
  coordinator.end_of_input();
  coordinator.add_worker(1, 64);
  coordinator.add_worker(2, 64);
  EXPECT_EQ(coordinator.rows_for(1).size(), 5u);
  EXPECT_EQ(coordinator.rows_for(2).size(), 5u);
}

TEST(Coordinator, ADeadWorkersRowsGoFirst) {
  Coordinator coordinator;
  add_rows(coordinator, 20);
  coordinator.add_worker(1, 3);
  coordinator.add_worker(2, 3);
  coordinator.rows_for(1);
  coordinator.rows_for(2);
  coordinator.on_result(1, 1, false);
  EXPECT_EQ(coordinator.remove_worker(1).again, 2u);
  coordinator.on_result(3, 1, false);
  coordinator.on_result(4, 1, false);
  coordinator.on_result(5, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{0, 2, 6}));
  EXPECT_EQ(coordinator.workers(), 1u);
}

TEST(Coordinator, IgnoresRepeatedResults) {
  Coordinator coordinator;
  add_rows(coordinator, 2);
  coordinator.end_of_input();
  coordinator.add_worker(1, 2);
  coordinator.rows_for(1);
  coordinator.remove_worker(1);
  EXPECT_TRUE(coordinator.on_result(0, 1, true));  // late, but it counts
  EXPECT_FALSE(coordinator.on_result(0, 1, true));
  EXPECT_FALSE(coordinator.on_result(99, 1, false));
  EXPECT_EQ(coordinator.failed_rows(), 1u);
  coordinator.add_worker(2, 2);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{1}));
  EXPECT_FALSE(coordinator.done());
  coordinator.on_result(1, 1, false);
  EXPECT_TRUE(coordinator.done());
}

TEST(Coordinator, BoundsTheLookAhead) {
  Coordinator coordinator(
      {.queued_rows = 5, .queued_bytes = 1000, .window_rows = 4, .window_bytes = 10});
  while (coordinator.wants_rows()) add_rows(coordinator, 1);
  EXPECT_EQ(coordinator.total_rows(), 4u);  // 4 is beyond the window of row 0
  coordinator.add_worker(1, 1);
  coordinator.add_worker(2, 2);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0}));
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{1, 2}));
  coordinator.on_result(1, 1, false);
  coordinator.on_result(2, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{3}));
  coordinator.on_result(3, 8, false);  // ten bytes wait for row 0
  EXPECT_TRUE(coordinator.rows_for(2).empty());
  EXPECT_FALSE(coordinator.wants_rows());
  coordinator.on_result(0, 1, false);
  EXPECT_TRUE(coordinator.wants_rows());
  add_rows(coordinator, 1);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{4}));
}

void add_costs(Coordinator& coordinator, std::initializer_list<std::uint64_t> costs) {
  for (const std::uint64_t cost : costs) {
    const std::uint64_t index = coordinator.total_rows();
    coordinator.add_row({index, index + 1, "row", RowDefect::none, cost});
  }
}

TEST(Coordinator, LongRowsGoOutFirst) {
  Coordinator coordinator;
  add_costs(coordinator, {1, 5, 1, 9, 5});
  coordinator.add_worker(1, 2);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{3, 1}));
  coordinator.on_result(3, 1, false);
  coordinator.on_result(1, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{4, 0}));
}

/// However many long rows come behind it, a short one is handed out in the end.
TEST(Coordinator, NoRowIsOvertakenForEver) {
  Coordinator coordinator({.order_rows = 8});
  add_costs(coordinator, {1});
  coordinator.add_worker(1, 1);
  std::uint64_t rounds = 0;
  for (;; ++rounds) {
    add_costs(coordinator, {100, 100});
    const std::vector<RawRow> rows = coordinator.rows_for(1);
    ASSERT_EQ(rows.size(), 1u);
    if (rows[0].index == 0) break;
    coordinator.on_result(rows[0].index, 1, false);
    ASSERT_LT(rounds, 20u);
  }
  EXPECT_EQ(rounds, 7u) << "those that stand within eight of it";
}

TEST(Coordinator, WorkIsSharedOutNotRows) {
  Coordinator coordinator;
  add_costs(coordinator, {10, 10, 10, 10, 40, 40});
  coordinator.end_of_input();
  coordinator.add_worker(1, 64);
  coordinator.add_worker(2, 64);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{4})) << "the next is as long: for another";
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{5, 0, 1}));
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{2, 3}));
}

/// One that outweighs all the rest goes to who has least to do, and does not wait for ever.
TEST(Coordinator, ARowBeyondAnyShareIsHandedOut) {
  Coordinator coordinator;
  coordinator.add_worker(1, 4);
  coordinator.add_worker(2, 4);
  add_costs(coordinator, {10, 10, 10});
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0}));
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{1, 2}));
  add_costs(coordinator, {10000});
  coordinator.end_of_input();
  EXPECT_TRUE(coordinator.rows_for(2).empty());
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{3}));
}

TEST(Coordinator, AsksBackWhatHasNotBegunWhenAWorkerIdles) {
  Coordinator coordinator;
  add_rows(coordinator, 8);
  coordinator.add_worker(1, 8);
  EXPECT_EQ(coordinator.rows_for(1).size(), 8u);
  coordinator.add_worker(2, 8);
  EXPECT_EQ(coordinator.whom_to_ask_back(), std::nullopt) << "more rows may come";
  coordinator.end_of_input();
  EXPECT_EQ(coordinator.whom_to_ask_back(), 1u);
  EXPECT_EQ(coordinator.whom_to_ask_back(), std::nullopt) << "once is enough";
  coordinator.return_rows(1, Indices{4, 5, 6, 7, 99});
  EXPECT_EQ(coordinator.in_flight(1), 4u);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{4, 5, 6, 7}));
  coordinator.return_rows(1, Indices{4});
  EXPECT_EQ(coordinator.in_flight(2), 4u) << "not the row's holder";
  for (std::uint64_t row = 0; row < 8; ++row) EXPECT_TRUE(coordinator.on_result(row, 1, false));
  EXPECT_TRUE(coordinator.done());
}

/// A suspect must be alone; of workers that never run out of rows one is let run out.
TEST(Coordinator, ASuspectDoesNotWaitForTheEnd) {
  Coordinator coordinator;
  add_rows(coordinator, 100);
  for (const Coordinator::WorkerId worker : {1u, 2u, 3u}) coordinator.add_worker(worker, 2);
  for (const Coordinator::WorkerId worker : {1u, 2u, 3u}) coordinator.rows_for(worker);
  coordinator.remove_worker(1, true);  // with rows 0 and 1
  coordinator.on_result(2, 1, false);
  EXPECT_TRUE(coordinator.rows_for(2).empty()) << "it has one row, the other two";
  EXPECT_TRUE(coordinator.rows_for(3).empty()) << "and that is full";
  coordinator.on_result(4, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(3)), (Indices{6})) << "the other goes on";
  coordinator.on_result(3, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{0}));
}

TEST(Coordinator, ARetiredWorkerGetsNoMore) {
  Coordinator coordinator;
  add_rows(coordinator, 4);
  coordinator.add_worker(1, 2);
  coordinator.rows_for(1);
  coordinator.retire(1);
  coordinator.return_rows(1, Indices{1});
  coordinator.on_result(0, 1, false);
  EXPECT_TRUE(coordinator.rows_for(1).empty());
  coordinator.add_worker(2, 8);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{1, 2, 3}));
}

TEST(Coordinator, BoundsBytes) {
  Coordinator coordinator({.queued_rows = 100, .queued_bytes = 10});
  std::uint64_t added = 0;
  for (; coordinator.wants_rows(); ++added) coordinator.add_row({added, added, "12345"});
  EXPECT_EQ(added, 2u);
}

TEST(Coordinator, BoundsTheBytesThatAWorkerHolds) {
  Coordinator coordinator({.worker_bytes = 10});
  for (const std::uint64_t bytes : {20, 5, 4, 3}) {
    const std::uint64_t index = coordinator.total_rows();
    coordinator.add_row({index, index + 1, std::string(bytes, 'x')});
  }
  coordinator.end_of_input();
  coordinator.add_worker(1, 8);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0}));  // too large with any other
  coordinator.on_result(0, 1, false, 1);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{1, 2}));
  coordinator.on_result(1, 1, false, 1);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{3}));
}

TEST(Coordinator, SkipsAnsweredRows) {
  Coordinator coordinator;
  coordinator.skip_row(0);
  add_rows(coordinator, 1);
  coordinator.skip_row(2);
  coordinator.end_of_input();
  coordinator.add_worker(1, 8);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{1}));
  EXPECT_EQ(coordinator.finished_rows(), 2u);
  EXPECT_TRUE(coordinator.on_result(1, 1, false));
  EXPECT_TRUE(coordinator.done());
}

TEST(Coordinator, RowsOfACrashedWorkerGoOutAloneToIdleWorkers) {
  Coordinator coordinator;
  add_rows(coordinator, 20);
  coordinator.add_worker(1, 3);
  coordinator.add_worker(2, 2);
  coordinator.rows_for(1);
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{3, 4}));
  const Coordinator::Lost lost = coordinator.remove_worker(1, true);
  EXPECT_EQ(lost.again, 3u);
  EXPECT_FALSE(lost.convicted) << "each of three rows may be to blame";
  coordinator.on_result(3, 1, false);
  EXPECT_TRUE(coordinator.rows_for(2).empty()) << "it still holds row 4, and is to run out";
  coordinator.add_worker(1, 3);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0}));
  EXPECT_EQ(indices(coordinator.rows_for(2)), (Indices{5})) << "another works on the suspect";
  EXPECT_TRUE(coordinator.rows_for(1).empty()) << "nothing beside a suspect";
  coordinator.on_result(0, 1, false);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{1}));
}

TEST(Coordinator, ASuspectThatCrashesItsWorkerAgainIsConvicted) {
  Coordinator coordinator;
  add_rows(coordinator, 3);
  coordinator.end_of_input();
  coordinator.add_worker(1, 8);
  coordinator.rows_for(1);
  coordinator.remove_worker(1, true);
  coordinator.add_worker(1, 8);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0}));
  EXPECT_FALSE(coordinator.remove_worker(1, false).convicted) << "killed from outside";
  coordinator.add_worker(1, 8);
  EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{0})) << "and suspected as before";
  const Coordinator::Lost lost = coordinator.remove_worker(1, true);
  EXPECT_EQ(lost.again, 0u);
  ASSERT_TRUE(lost.convicted);
  EXPECT_EQ(lost.convicted->index, 0u);
  EXPECT_EQ(coordinator.on_result(0, 1, true)->index, 0u);
  EXPECT_EQ(coordinator.failed_rows(), 1u);
  coordinator.add_worker(1, 8);
  for (const std::uint64_t row : {1u, 2u}) {
    EXPECT_EQ(indices(coordinator.rows_for(1)), (Indices{row}));
    EXPECT_FALSE(coordinator.done());
    coordinator.on_result(row, 1, false);
  }
  EXPECT_TRUE(coordinator.done());
}

TEST(Coordinator, OneCrashConvictsNobodyEvenAlone) {
  Coordinator coordinator;
  add_rows(coordinator, 1);
  coordinator.end_of_input();
  coordinator.add_worker(1, 8);
  coordinator.rows_for(1);
  EXPECT_FALSE(coordinator.remove_worker(1, true).convicted);
  EXPECT_TRUE(coordinator.on_result(0, 1, false)) << "its answer may still come";
  EXPECT_TRUE(coordinator.done());
}

/// Workers of random capacity finish, die and come back, and some results arrive twice or late.
void simulate(unsigned seed) {
  std::mt19937 random(seed);
  Coordinator coordinator({.queued_rows = 1 + random() % 20,
                           .window_rows = 1 + random() % 30,
                           .window_bytes = 1 + random() % 50});
  const std::uint64_t total = random() % 300;
  std::multiset<std::uint64_t> answered;
  std::vector<std::pair<Coordinator::WorkerId, std::uint64_t>> running;  // also of the dead
  std::set<Coordinator::WorkerId> alive;
  Coordinator::WorkerId next_worker = 0;
  for (int steps = 0; !coordinator.done(); ++steps) {
    ASSERT_LT(steps, 200000) << "no progress";
    while (coordinator.wants_rows() && coordinator.total_rows() < total) add_rows(coordinator, 1);
    if (coordinator.total_rows() == total) coordinator.end_of_input();
    if (alive.empty() || (alive.size() < 4 && random() % 20 == 0)) {
      coordinator.add_worker(next_worker, 1 + random() % 8);
      alive.insert(next_worker++);
    }
    for (const auto worker : alive) {
      for (const RawRow& row : coordinator.rows_for(worker))
        running.emplace_back(worker, row.index);
    }
    if (random() % 15 == 0) {
      const auto victim = *std::next(alive.begin(), static_cast<long>(random() % alive.size()));
      const auto lost = coordinator.remove_worker(victim, random() % 2 == 0);
      alive.erase(victim);
      if (lost.convicted && coordinator.on_result(lost.convicted->index, 1, true)) {
        answered.insert(lost.convicted->index);
      }
    } else if (!running.empty()) {
      const std::size_t pick = random() % running.size();
      const auto [worker, row] = running[pick];
      const bool lost = !alive.contains(worker) && random() % 2 == 0;
      if (!lost && coordinator.on_result(row, random() % 20, false, worker)) answered.insert(row);
      if (random() % 10 != 0) running.erase(running.begin() + static_cast<long>(pick));
    }
  }
  ASSERT_EQ(answered.size(), total);
  for (std::uint64_t row = 0; row < total; ++row) ASSERT_EQ(answered.count(row), 1u);
}

TEST(Coordinator, AnswersEveryRowOnceWhoeverDies) {
  for (unsigned seed = 0; seed < 200; ++seed) simulate(seed);
}

}  // namespace
}  // namespace trireme
