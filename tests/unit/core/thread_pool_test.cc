// Every part of the work is done exactly once, whatever the number of threads.
#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

namespace trireme {
namespace {

TEST(ThreadPool, DoesEachPartOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::int64_t count : {0, 1, 2, 3, 64, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(count));
      pool.parallel_for_with_thread(count, [&](std::int64_t i, int thread) {
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, threads);
        done[static_cast<std::size_t>(i)].fetch_add(1);
      });
      for (const auto& times : done) EXPECT_EQ(times.load(), 1);
    }
  }
}

TEST(ThreadPool, EachThreadBeginsWithARunOfItsOwn) {
  ThreadPool pool(4);
  std::atomic<int> begun{0};
  std::vector<std::vector<std::int64_t>> parts(4);
  pool.parallel_for_with_thread(40, [&](std::int64_t i, int thread) {
    auto& mine = parts[static_cast<std::size_t>(thread)];
    mine.push_back(i);
    if (mine.size() > 1) return;
    begun.fetch_add(1);
    while (begun.load() < 4) std::this_thread::yield();
  });
  for (std::size_t thread = 0; thread < 4; ++thread) {
    ASSERT_FALSE(parts[thread].empty());
    EXPECT_EQ(parts[thread].front(), static_cast<std::int64_t>(thread) * 10);
  }
}

TEST(ThreadPool, SurvivesManyShortRounds) {
  ThreadPool pool(4);
  std::atomic<std::int64_t> sum{0};
  for (int round = 0; round < 5000; ++round) {
    pool.parallel_for(4, [&](std::int64_t i) { sum.fetch_add(i); });
  }
  EXPECT_EQ(sum.load(), 5000 * 6);
}

TEST(ThreadPool, LateWorkersOfAnEarlierRoundTakeNothingOfALongerOne) {
  ThreadPool pool(4);
  for (int round = 0; round < 20000; ++round) {
    const std::int64_t count = round % 2 == 0 ? 2 : 40;
    std::atomic<std::int64_t> sum{0};
    pool.parallel_for(count, [&](std::int64_t i) { sum.fetch_add(i + 1); });
    ASSERT_EQ(sum.load(), count * (count + 1) / 2) << round;
  }
}

TEST(ThreadPool, TwoPoolsDoNotMeet) {
  ThreadPool outer(2);
  std::atomic<int> done{0};
  outer.parallel_for(2, [&](std::int64_t) {
    ThreadPool inner(2);
    inner.parallel_for(10, [&](std::int64_t) { done.fetch_add(1); });
  });
  EXPECT_EQ(done.load(), 20);
}

}  // namespace
}  // namespace trireme
