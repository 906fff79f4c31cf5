// What a job shows of itself: quantiles, rates, utilisation, stragglers, latencies.
#include <algorithm>
#include <cmath>
#include <random>

#include "batch/histogram.h"
#include "batch/job_watch.h"
#include "batch/rank_stats.h"
#include "batch/rate_window.h"
#include "batch/row_stats.h"
#include "batch/run_limits.h"
#include "batch/series.h"
#include "support/scratch.h"

namespace trireme {
namespace {

constexpr std::int64_t second = 1'000'000'000;

TEST(LogHistogram, QuantilesAreWithinABucket) {
  LogHistogram histogram;
  std::mt19937 random(5);
  std::lognormal_distribution<double> times(-1, 1.5);
  std::vector<double> all;
  for (int i = 0; i < 20000; ++i) all.push_back(times(random));
  for (const double time : all) histogram.add(time);
  std::ranges::sort(all);
  for (const double q : {0.01, 0.5, 0.9, 0.99}) {
    const double exact = all[static_cast<std::size_t>(q * 20000) - 1];
    EXPECT_NEAR(histogram.quantile(q) / exact, 1, 0.03) << q;
  }
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_EQ(histogram.largest(), all.back());
}

TEST(LogHistogram, TakesAnything) {
  LogHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  for (const double value : {0.0, -1.0, std::nan(""), 1e-300, 1e300}) histogram.add(value);
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_EQ(histogram.below(1e-5), 4u);
}

TEST(LogHistogram, BelowCountsWholeBuckets) {
  LogHistogram histogram;
  for (const double value : {0.4, 0.5, 0.6, 1.0, 3.0}) histogram.add(value);
  EXPECT_EQ(histogram.below(0.5), 1u);
  EXPECT_EQ(histogram.below(1), 3u);
  EXPECT_EQ(histogram.below(4), 5u);
}

TEST(Series, KeepsTheWholeTimeInBoundedRoom) {
  Series series;
  for (int i = 0; i < 100'000; ++i) series.add(i < 50'000 ? 1 : 3, 0.25);
  const std::vector<Series::Point> points = series.points();
  EXPECT_LE(points.size(), Series::capacity);
  EXPECT_GT(points.size(), Series::capacity / 4);
  EXPECT_NEAR(series.seconds(), 25'000, 1e-6);
  double total = 0;
  for (const Series::Point& point : points) total += point.value * point.seconds;
  EXPECT_NEAR(total, 12'500 + 37'500, 1e-6);
  EXPECT_EQ(points.front().value, 1);
  EXPECT_EQ(points.back().value, 3);
  EXPECT_NEAR(points.back().begin + points.back().seconds, 25'000, 1e-6);
}

TEST(RateWindow, IsTheRateOfTheLastTenSeconds) {
  RateWindow window;
  EXPECT_EQ(window.rate(), 0);
  double total = 0;
  for (int i = 0; i <= 300; ++i) {
    window.add(0.1 * i, total);
    total += i < 150 ? 100 : 10;  // 1000 a second, then 100
  }
  EXPECT_NEAR(window.rate(), 100, 1);
}

TEST(RateWindow, TimeLeftIsARangeAndNeedsGround) {
  RateWindow window;
  double total = 0;
  for (int i = 0; i <= 45; ++i) {
    window.add(i, total);
    EXPECT_EQ(window.time_for(1000).has_value(), i >= 20) << i;
    total += i < 25 ? 100 : 50;
  }
  const std::optional<Spread> left = window.time_for(1000);
  ASSERT_TRUE(left);
  EXPECT_NEAR(left->low, 10, 0.1);
  EXPECT_NEAR(left->high, 20, 0.1);
}

TEST(RateWindow, AStandstillIsNoPromiseOfNothing) {
  RateWindow window;
  for (int i = 0; i <= 40; ++i) window.add(i, i < 20 ? 100.0 * i : 2000);
  const std::optional<Spread> left = window.time_for(1000);
  ASSERT_TRUE(left);
  EXPECT_NEAR(left->low, 10, 0.1);
  EXPECT_NEAR(left->high, 100, 1);
}

RankSample sample_at(double seconds, double busy_share, double tokens_per_s,
                     std::int64_t began = 1) {
  RankSample sample;
  sample.began_ns = began;
  sample.ready_ns = began + 1;
  sample.busy_ns = static_cast<std::uint64_t>(seconds * busy_share * second);
  sample.tokens = static_cast<std::uint64_t>(seconds * tokens_per_s);
  sample.steps = sample.tokens;
  sample.kv_blocks = 100;
  sample.kv_used = 25;
  return sample;
}

TEST(RankStats, RestartsAddUpAndOldNewsIsIgnored) {
  RankStats stats;
  for (int i = 1; i <= 10; ++i) stats.sample(0, 0, sample_at(i, 0.8, 10), i);
  stats.sample(0, 0, sample_at(3, 0.8, 10), 10);  // was on the way for long
  const auto ranks = stats.ranks();
  ASSERT_EQ(ranks.size(), 1u);
  EXPECT_EQ(ranks[0]->total.tokens, 100u);
  EXPECT_EQ(ranks[0]->starts, 1);
  stats.ended(0);
  EXPECT_FALSE(stats.any_ready());
  for (int i = 1; i <= 5; ++i) stats.sample(0, 0, sample_at(i, 0.8, 10, 777), 20 + i);
  EXPECT_EQ(ranks[0]->starts, 2);
  EXPECT_EQ(ranks[0]->total.tokens, 150u);
  EXPECT_NEAR(ranks[0]->seconds, 9 + 4, 1e-9);  // from one sample to the next
  EXPECT_NEAR(stats.kv_use().value(), 0.25, 1e-9);
}

TEST(RankStats, SharesOfTheTimeAddUpToAllOfItAtMost) {
  RankStats stats;
  RankSample sample = sample_at(1, 0.9, 10);
  sample.waited_ns = second;
  stats.sample(0, 0, sample, 1);  // seen late: no time has passed since
  const RankStats::Rank& rank = *stats.ranks()[0];
  EXPECT_NEAR(rank.busy_share() + rank.waited_share(), 1, 1e-9);
  EXPECT_NEAR(rank.busy_share(), 0.9 / 1.9, 1e-9);
}

/// One of three replicas at half the rate of the others, for `seconds`.
std::vector<ProgressState::Straggler> stragglers_after(double seconds, bool at_work) {
  RankStats stats;
  for (double now = 0.5; now <= seconds; now += 0.5) {
    stats.sample(0, 0, sample_at(now, 1, 100), now);
    stats.sample(1, 0, sample_at(now, 1, 48), now);
    stats.sample(2, 0, sample_at(now, 1, 100), now);
    stats.tick(now, [&](int replica) { return replica != 1 || at_work; });
  }
  return stats.stragglers();
}

TEST(RankStats, NamesAReplicaThatIsSlowForTenSeconds) {
  EXPECT_TRUE(stragglers_after(15, true).empty());
  const auto slow = stragglers_after(25, true);
  ASSERT_EQ(slow.size(), 1u);
  EXPECT_EQ(slow[0].replica, 1);
  EXPECT_NEAR(slow[0].share, 0.48, 0.02);
  EXPECT_TRUE(stragglers_after(25, false).empty()) << "it has no work";
}

RowResult failed(std::uint64_t row, const std::string& code, const std::string& message) {
  return {row, true, R"({"id":1,"error":{"code":")" + code + R"(","message":")" + message + "\"}}"};
}

TEST(RowStats, TimesRowsFromHandOutToAnswer) {
  RowStats stats;
  stats.read({0, 1, "abc"}, 1 * second);
  stats.read({1, 2, "de"}, 1 * second);
  stats.hand_out({0, 1, "abc"}, 7, 3 * second);
  stats.hand_out({1, 2, "de"}, 7, 3 * second);
  EXPECT_EQ(stats.in_flight(7), 2u);
  stats.answer({0, 1, "abc"}, {0, false, "{}", 10, 20}, 7 * second);
  EXPECT_NEAR(stats.latency().quantile(0.5), 4, 0.1);
  EXPECT_NEAR(stats.queued().quantile(0.5), 2, 0.05);
  EXPECT_EQ(stats.prompt_tokens(), 10u);
  EXPECT_EQ(stats.new_tokens(), 20u);
  EXPECT_EQ(stats.bytes_answered(), 4u);
  stats.lose(7, 8 * second);  // with row 1
  EXPECT_EQ(stats.in_flight(7), 0u);
  stats.hand_out({1, 2, "de"}, 8, 9 * second);
  stats.take_back(8, {1, 99}, 10 * second);
  EXPECT_EQ(stats.in_flight(8), 0u);
  stats.hand_out({1, 2, "de"}, 9, 11 * second);
  stats.answer({1, 2, "de"}, {1, false, "{}", 1, 1}, 12 * second);
  EXPECT_EQ(stats.latency().count(), 2u);
  EXPECT_EQ(stats.spans().back().worker, 9u);
}

TEST(RowStats, CountsErrorsByCodeWithFewExamples) {
  RowStats stats;
  for (std::uint64_t i = 0; i < 10; ++i) {
    stats.answer({i, i + 1, "x"}, failed(i, i < 7 ? "invalid_json" : "too_long", "why"), second);
  }
  const auto top = top_errors(stats.errors(), 5);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].first, "invalid_json");
  EXPECT_EQ(top[0].second.count, 7u);
  ASSERT_EQ(top[0].second.examples.size(), RowStats::most_examples);
  EXPECT_EQ(top[0].second.examples[1].row, 1u);
  EXPECT_EQ(top[0].second.examples[1].place, "line 2");
  EXPECT_EQ(top[0].second.examples[1].message, "why");
}

TEST(RowStats, ManyCodesAndRowsTakeBoundedRoom) {
  RowStats stats;
  for (std::uint64_t i = 0; i < RowStats::most_spans + 5; ++i) {
    stats.read({i, i, ""}, second);
    stats.hand_out({i, i, ""}, 0, second);
    stats.answer({i, i, ""}, failed(i, "c" + std::to_string(i % 1000), ""), second);
  }
  EXPECT_LE(stats.errors().size(), RowStats::most_codes + 1);
  EXPECT_EQ(stats.spans().size(), RowStats::most_spans);
  EXPECT_EQ(stats.dropped_spans(), 5u);
}

TEST(JobWatch, AJobOfMillisecondsHasRates) {
  JobWatch watch(0);
  watch.rows().read({0, 1, "row"}, 0);
  watch.rows().hand_out({0, 1, "row"}, 0, second / 100);
  watch.tick({.rows_known = 1, .in_flight = 1}, second / 100);
  watch.rows().answer({0, 1, "row"}, {0, false, "{}", 5, 7}, second / 50);
  watch.tick({.rows_done = 1, .rows_known = 1}, second / 50);
  const RunSummary summary = watch.summary(second / 50);
  EXPECT_NEAR(summary.working_seconds, 0.01, 1e-6);
  EXPECT_NEAR(summary.rate(summary.row_stats.new_tokens()), 700, 1);
}

/// A hundred rows of 99 bytes, one answered a second.
TEST(JobWatch, GuessesTheTimeLeftByBytes) {
  JobWatch watch(0);
  watch.set_input_bytes(10'000);
  const std::string bytes(99, 'x');
  JobCounts counts{.rows_known = 50};
  for (std::uint64_t i = 0; i < 50; ++i) watch.rows().read({i, i + 1, bytes}, 0);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const std::int64_t now = static_cast<std::int64_t>(i + 1) * second;
    watch.rows().hand_out({i, i + 1, bytes}, 0, now - second);
    watch.rows().answer({i, i + 1, bytes}, {i, false, "{}", 5, 7}, now);
    counts.rows_done = i + 1;
    counts.in_flight = 1;
    watch.tick(counts, now);
    EXPECT_TRUE(i >= 15 || !watch.state(now).seconds_left);
  }
  const ProgressState state = watch.state(40 * second);
  ASSERT_TRUE(state.seconds_left);
  EXPECT_NEAR(state.seconds_left->low, 60, 2);
  EXPECT_NEAR(state.seconds_left->high, 60, 2);
  EXPECT_FALSE(state.total) << "the input has not ended";
  EXPECT_NEAR(state.new_tokens_per_s, 7, 0.1);
}

TEST(RunLimits, EachStepIsBoundByReadingOrByArithmetic) {
  RunSummary summary;
  RankSummary rank;
  rank.rank.total.weight_bytes = 1000;
  rank.rank.total.multiply_adds_per_token = 500;
  rank.rank.total.step_count[0] = 10;  // of one token: 1000 bytes or 1000 operations each
  rank.rank.total.step_tokens[0] = 10;
  rank.rank.total.step_count[6] = 2;  // of 64: 64000 operations each
  rank.rank.total.step_tokens[6] = 128;
  summary.ranks.push_back(rank);
  EXPECT_NEAR(seconds_at_limit(summary, 1000, 10'000), 10 * 1 + 2 * 6.4, 1e-9);
  EXPECT_EQ(seconds_at_limit(summary, 0, 1), 0);
}

}  // namespace
}  // namespace trireme
