// The AMX matrix kernels, over the emulated tiles everywhere and over the real ones where the
// machine has them: right, and the same bits whatever the rows, threads, blocking and ranks.
#include <gtest/gtest.h>

#include <limits>

#include "amx_builds.h"
#include "amx_problem.h"
#include "core/shard.h"

namespace trireme::amx {
namespace {

using Shards = std::vector<std::int64_t>;

const std::int64_t row_counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 63, 64, 65, 70, 97, 130};
const Shards shard_lists[] = {{1},   {31},         {32},         {33},
                              {64},  {96, 96},     {31, 1, 33},  {64, 64, 64, 64, 64},
                              {300}, {40, 40, 17}, {7, 7, 7, 7}, {64, 32, 64, 32, 64, 32, 1}};

/// Blockings that choose_blocking would take for far larger products, at sizes a test can afford.
std::vector<Blocking> small_blockings() {
  std::vector<Blocking> blockings;
  for (const Grid grid : {Grid::one_by_two, Grid::two_by_two, Grid::four_by_one}) {
    blockings.push_back({grid, 16, 2, 1, 1, 1, false});
    blockings.push_back({grid, 16, 4, 2, 4, 3, false});
    blockings.push_back({grid, 16, 5, 3, 2, 2, true});
  }
  return blockings;
}

TEST(AmxPlan, BlockingFitsTheMachine) {
  for (std::int64_t m = 1; m < 3000; m += 7) {
    for (const std::int64_t steps : {1, 64, 448}) {
      const Blocking b = choose_blocking(m, 64, steps, 2);
      EXPECT_GE(b.item_panels, 1);
      EXPECT_LE(b.block_tiles, 32);
      EXPECT_TRUE(b.tile_rows == 16 || b.tile_rows == m);
      EXPECT_TRUE(b.streamed || b.block_tiles * b.outer_steps * 1024 <= 1 << 20);
    }
  }
}

class AmxLinear : public AmxTest {};

INSTANTIATE_TEST_SUITE_P(Tiles, AmxLinear, all_builds(), build_name);

TEST_P(AmxLinear, IsTheFixedOrderBitForBit) {
  for (const Shards& shards : shard_lists) {
    for (const std::int64_t n : {1, 16, 17, 32, 33, 70}) {
      const Problem problem(37, n, shards);
      const std::vector<float> expected = problem.naive(problem.all_shards(), true);
      EXPECT_EQ(differing_bits(problem.run(kernels(), one_), expected), 0)
          << "n = " << n << ", " << shards.size() << " shards of " << shards[0];
    }
  }
}

TEST_P(AmxLinear, IsTheFixedOrderForEveryNumberOfRows) {
  for (const std::int64_t m : row_counts) {
    const Problem problem(m, 40, {64, 31, 96});
    EXPECT_EQ(differing_bits(problem.run(kernels(), one_), problem.naive({0, 3}, true)), 0)
        << "m = " << m;
  }
}

TEST_P(AmxLinear, IsCloseToTheExactSum) {
  const Problem problem(20, 50, {512, 512, 100});
  const std::vector<float> y = problem.run(kernels(), one_, false);
  for (std::int64_t row = 0; row < problem.m; ++row) {
    for (std::int64_t column = 0; column < problem.shape.n; ++column) {
      double exact = 0;
      double size = 0;
      for (std::int64_t k = 0; k < problem.shape.k(); ++k) {
        const double product = static_cast<double>(problem.x_at(row, k)) *
                               static_cast<double>(problem.w_at(column, k));
        exact += product;
        size += std::fabs(product);
      }
      EXPECT_NEAR(y[static_cast<std::size_t>(row * problem.shape.n + column)], exact, size * 1e-6);
    }
  }
}

TEST_P(AmxLinear, ARowDoesNotDependOnTheOthers) {
  const Problem problem(70, 40, {64, 33, 64});
  const std::vector<float> all = problem.run(kernels(), one_);
  for (std::int64_t m = 1; m <= 70; ++m) {
    const std::int64_t begin = (m * 11) % (71 - m);
    for (ThreadPool* threads : {&one_, &three_}) {
      const auto part = problem.run(kernels(), *threads, {begin, begin + m}, {problem.all_shards()},
                                    true, problem.blocking(m, threads->size()))[0];
      const std::vector<float> expected(all.begin() + begin * 40, all.begin() + (begin + m) * 40);
      EXPECT_EQ(differing_bits(part, expected), 0) << "m = " << m << " from " << begin;
    }
  }
}

TEST_P(AmxLinear, BlockingDoesNotShow) {
  for (const std::int64_t m : {1, 33, 90}) {
    const Problem problem(m, 150, {128, 70, 128, 128, 1, 64});
    const std::vector<float> expected = problem.run(kernels(), one_);
    for (const Blocking& blocking : small_blockings()) {
      const auto y = problem.run(kernels(), three_, {0, m}, {problem.all_shards()}, true, blocking);
      EXPECT_EQ(differing_bits(y[0], expected), 0)
          << "m = " << m << ", grid " << static_cast<int>(blocking.grid) << ", "
          << blocking.chunk_steps << " steps";
    }
  }
}

TEST_P(AmxLinear, SeveralOutputsAreTheirOwnTrees) {
  const Problem problem(19, 45, {32, 40, 64, 1, 64, 33, 96, 32, 5});
  const std::vector<Range> outputs = {{0, 1}, {1, 2}, {2, 6}, {6, 9}, {0, 9}, {4, 4}};
  for (const Blocking& blocking : small_blockings()) {
    const auto y = problem.run(kernels(), one_, {0, 19}, outputs, false, blocking);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_EQ(differing_bits(y[i], problem.naive(outputs[i], false)), 0) << "output " << i;
    }
  }
}

/// Joins the sums of the largest subtrees in tree order.
float join(Range node, const std::vector<std::pair<Range, float>>& sums) {
  for (const auto& [range, sum] : sums) {
    if (range == node) return sum;
  }
  std::int64_t left = 1;
  while (left * 2 < node.size()) left *= 2;
  return join({node.begin, node.begin + left}, sums) + join({node.begin + left, node.end}, sums);
}

/// The shards `held` of `whole` as the rank that holds them sees it.
Problem rank_of(const Problem& whole, std::int64_t width, Range held) {
  const Range k{held.begin * width, std::min(whole.shape.k(), held.end * width)};
  Problem rank(
      whole.m, whole.shape.n,
      Shards(whole.shape.k_shards.begin() + held.begin, whole.shape.k_shards.begin() + held.end));
  for (std::int64_t row = 0; row < whole.m; ++row) {
    std::copy_n(whole.x.begin() + row * whole.ldx + k.begin, k.size(),
                rank.x.begin() + row * rank.ldx);
  }
  for (std::int64_t row = 0; row < whole.shape.n; ++row) {
    std::copy_n(whole.w.begin() + row * whole.shape.k() + k.begin, k.size(),
                rank.w.begin() + row * k.size());
  }
  rank.pack();
  return rank;
}

TEST_P(AmxLinear, RanksThatShareTheShardsGiveTheSameBits) {
  const Problem whole(18, 40, {64, 64, 64, 64, 64, 64, 40});
  const std::vector<float> expected = whole.run(kernels(), one_, false);
  for (const std::int64_t ranks : {2, 3, 4, 7}) {
    std::vector<std::vector<std::pair<Range, float>>> sums(expected.size());
    for (std::int64_t r = 0; r < ranks; ++r) {
      const Range held = even_part(7, ranks, r);
      const Problem rank = rank_of(whole, 64, held);
      const std::vector<Range> subtrees = largest_subtrees(7, held);
      std::vector<Range> local;
      for (const Range tree : subtrees)
        local.push_back({tree.begin - held.begin, tree.end - held.begin});
      const auto y = rank.run(kernels(), one_, {0, whole.m}, local, false, rank.blocking(whole.m));
      for (std::size_t o = 0; o < local.size(); ++o) {
        for (std::size_t i = 0; i < expected.size(); ++i)
          sums[i].emplace_back(subtrees[o], y[o][i]);
      }
    }
    std::vector<float> joined;
    for (const auto& of_element : sums) joined.push_back(join({0, 7}, of_element));
    EXPECT_EQ(differing_bits(joined, expected), 0) << ranks << " ranks";
  }
}

TEST_P(AmxLinear, InfinityStaysInItsRow) {
  Problem problem(20, 33, {33, 40});
  const std::vector<float> before = problem.run(kernels(), one_);
  problem.x[static_cast<std::size_t>(7 * problem.ldx + 2)] = std::numeric_limits<float>::infinity();
  const std::vector<float> after = problem.run(kernels(), one_);
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i / 33 == 7) {
      EXPECT_FALSE(std::isfinite(after[i]));
    } else {
      EXPECT_EQ(after[i], before[i]);
    }
  }
}

TEST_P(AmxLinear, NoRowsAndNoColumns) {
  const Problem problem(3, 40, {64});
  EXPECT_TRUE(
      problem.run(kernels(), one_, {1, 1}, {problem.all_shards()}, true, problem.blocking(0))[0]
          .empty());
  const Problem rankless(2, 5, {});
  const auto zero = rankless.run(kernels(), one_, {0, 2}, {{0, 0}}, false, rankless.blocking(2))[0];
  EXPECT_EQ(differing_bits(zero, std::vector<float>(10, 0.0f)), 0);
}

TEST(AmxTrap, CarriesOutTheRealInstructions) {
  const std::string reason = AmxTrap::why_not();
  if (!reason.empty()) GTEST_SKIP() << reason;
  const AmxTrap trap;
  ThreadPool threads(1);
  const long before = trapped_instructions();
  Problem(1, 32, {64}).run(hardware_kernels(), threads);
  // LDTILECFG; two accumulators: TILEZERO, two steps, TILESTORED; TILERELEASE. A step loads two
  // tiles of weights and one of activations and multiplies twice.
  EXPECT_EQ(trapped_instructions() - before, 1 + 2 + 2 * (3 + 2) + 2 + 1);
}

// The invariance promise does not rest on this: it holds for whatever the processor computes, as
// long as it computes it row by row. But bits that agree make a run on another machine comparable.
TEST(AmxHardware, ComputesWhatTheEmulatorComputes) {
  if (!amx_granted()) GTEST_SKIP() << "AMX is not available: " << amx_status();
  ThreadPool threads(2);
  for (const std::int64_t m : row_counts) {
    const Problem problem(m, 100, {256, 256, 77}, static_cast<unsigned>(m));
    EXPECT_EQ(differing_bits(problem.run(hardware_kernels(), threads),
                             problem.run(emulated_kernels(), threads)),
              0)
        << "m = " << m;
  }
}

}  // namespace
}  // namespace trireme::amx
