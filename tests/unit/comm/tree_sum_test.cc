#include "comm/tree_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

#include "core/shard.h"

namespace trireme {
namespace {

using Vector = std::vector<float>;

/// The definition: the left half of a node is the largest power of two below its size.
float tree(const std::vector<Vector>& shards, Range node, std::size_t element) {
  if (node.size() == 1) return shards[static_cast<std::size_t>(node.begin)][element];
  const auto left =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(node.size() - 1)));
  const float sum = tree(shards, {node.begin, node.begin + left}, element);
  return sum + tree(shards, {node.begin + left, node.end}, element);
}

std::vector<Vector> random_shards(std::mt19937& random, std::int64_t shards, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<Vector> all(static_cast<std::size_t>(shards));
  for (Vector& shard : all) {
    for (std::int64_t i = 0; i < count; ++i) {
      shard.push_back(normal(random) * std::exp2(10 * normal(random)));
    }
  }
  return all;
}

/// Cuts [0, shards) at random places, so that ranges may be empty.
TreeSum random_cut(std::mt19937& random, std::int64_t shards, int ranks) {
  std::uniform_int_distribution<std::int64_t> place(0, shards);
  std::vector<std::int64_t> cuts{0, shards};
  for (int i = 1; i < ranks; ++i) cuts.push_back(place(random));
  std::sort(cuts.begin(), cuts.end());
  TreeSum sum{shards, {}};
  for (int i = 0; i < ranks; ++i) {
    sum.held.push_back({cuts[static_cast<std::size_t>(i)], cuts[static_cast<std::size_t>(i) + 1]});
  }
  return sum;
}

TEST(TreeSumPlan, GivesTheSameBitsHoweverTheShardsAreHeld) {
  std::mt19937 random(1);
  for (const std::int64_t shards : {1, 2, 3, 5, 8, 11, 16, 23}) {
    for (const std::int64_t count : {1, 15, 16, 17, 1023, 1025, 2100}) {
      const auto all = random_shards(random, shards, count);
      for (const int ranks : {1, 2, 3, 7}) {
        const TreeSum sum = random_cut(random, shards, ranks);
        const TreeSumPlan plan(sum);
        std::vector<Vector> pieces;
        for (const Range& held : sum.held) {
          for (const Range& node : largest_subtrees(shards, held)) {
            Vector& piece = pieces.emplace_back();
            for (std::int64_t i = 0; i < count; ++i) {
              piece.push_back(tree(all, node, static_cast<std::size_t>(i)));
            }
          }
        }
        std::vector<const float*> pointers;
        for (const Vector& piece : pieces) pointers.push_back(piece.data());
        Vector out(static_cast<std::size_t>(count));
        plan.evaluate(pointers, count, out.data());
        for (std::size_t i = 0; i < out.size(); ++i) {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]),
                    std::bit_cast<std::uint32_t>(tree(all, {0, shards}, i)));
        }
      }
    }
  }
}

TEST(TreeSumPlan, MayWriteOverAnyPiece) {
  std::mt19937 random(2);
  const std::int64_t shards = 7, count = 1500;
  const auto all = random_shards(random, shards, count);
  TreeSum sum{shards, {}};
  for (std::int64_t i = 0; i < shards; ++i) sum.held.push_back({i, i + 1});
  for (std::size_t target = 0; target < 7; ++target) {
    auto pieces = all;
    std::vector<const float*> pointers;
    for (const Vector& piece : pieces) pointers.push_back(piece.data());
    TreeSumPlan(sum).evaluate(pointers, count, pieces[target].data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ASSERT_EQ(pieces[target][i], tree(all, {0, shards}, i));
    }
  }
}

TEST(TreeSumPlan, NumbersThePiecesInRankOrder) {
  const TreeSumPlan plan({8, {{0, 3}, {3, 3}, {3, 8}}});
  EXPECT_EQ(plan.pieces(0), (Range{0, 2}));  // [0,2) [2,3)
  EXPECT_EQ(plan.pieces(1), (Range{2, 2}));
  EXPECT_EQ(plan.pieces(2), (Range{2, 4}));  // [3,4) [4,8)
  EXPECT_EQ(plan.piece_count(), 4);
  EXPECT_EQ(plan.most_pieces(), 2);
}

TEST(TreeSumPlan, SumsOverNothingAreZero) {
  Vector out{1, 2, 3};
  TreeSumPlan({0, {{0, 0}, {0, 0}}}).evaluate({}, 3, out.data());
  EXPECT_EQ(out, (Vector{0, 0, 0}));
}

TEST(TreeSumPlans, KeepsThePlansThatItHasMet) {
  TreeSumPlans plans;
  const TreeSum one{4, {{0, 1}, {1, 4}}};
  const TreeSum other{4, {{0, 2}, {2, 4}}};
  const TreeSumPlan* const first = &plans.get(one);
  EXPECT_NE(first, &plans.get(other));
  EXPECT_EQ(first, &plans.get(one));
}

}  // namespace
}  // namespace trireme
