#include "runtime/token_tree.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Ways = std::vector<std::vector<std::int32_t>>;

std::vector<std::int32_t> tokens_at(const TokenTree& tree, const std::vector<std::int32_t>& at) {
  std::vector<std::int32_t> tokens;
  for (const std::int32_t index : at) {
    tokens.push_back(tree.targets.at(static_cast<std::size_t>(index)));
  }
  return tokens;
}

TEST(TokenTree, OneTokenEachIsOneNode) {
  const Continuations all = grow_tree(Ways{{5}, {9}, {7}}, std::vector<std::int32_t>{2});
  ASSERT_EQ(all.tree.nodes.size(), 1u);
  EXPECT_EQ(all.tree.chains.size(), 1u);
  EXPECT_EQ(all.tree.depth, 0);
  EXPECT_EQ(all.tree.targets, (std::vector<std::int32_t>{5, 9, 7}));
  EXPECT_FALSE(all.closed || all.equal);
}

TEST(TokenTree, EachTokenThatOthersFollowIsOneNode) {
  // 1 -> 2 -> {3, 4}, 1 -> 5, 6 -> 7
  const Ways ways{{1, 2, 3}, {1, 2, 4}, {1, 5}, {6, 7}};
  const Continuations all = grow_tree(ways, {});
  ASSERT_EQ(all.tree.nodes.size(), 4u) << "the root, 1, 2 and 6";
  ASSERT_EQ(all.tree.chains.size(), 2u);
  EXPECT_EQ(all.tree.chains[0].end, 3) << "the root, 1 and 2 in a row";
  EXPECT_EQ(all.tree.chains[1].depth, 1);
  EXPECT_EQ(all.tree.nodes[3].token, 6);
  EXPECT_EQ(all.tree.depth, 2);
  for (std::size_t i = 0; i < ways.size(); ++i) {
    EXPECT_EQ(tokens_at(all.tree, all.ways[i].steps), ways[i]);
    EXPECT_TRUE(all.ways[i].ends.empty());
  }
}

TEST(TokenTree, EndTokensCloseWhatOthersGoOnFrom) {
  const Continuations all = grow_tree(Ways{{1}, {1, 2}, {3}}, std::vector<std::int32_t>{8, 9});
  EXPECT_EQ(all.closed, 0u);
  EXPECT_EQ(tokens_at(all.tree, all.ways[0].ends), (std::vector<std::int32_t>{8, 9}));
  EXPECT_TRUE(all.ways[1].ends.empty());
  EXPECT_TRUE(all.ways[2].ends.empty());
}

TEST(TokenTree, EqualWaysAreTold) {
  const Continuations all = grow_tree(Ways{{1, 2}, {3}, {1, 2}}, {});
  EXPECT_EQ(all.equal, std::make_pair(std::size_t{0}, std::size_t{2}));
}

TEST(TokenTree, ACutLeavesBothSidesToThemselves) {
  // Two branches of the root, of which each branches again.
  const Continuations all =
      grow_tree(Ways{{1, 2, 3}, {1, 4, 5}, {1, 6, 7}, {8, 2, 3}, {8, 4, 5}, {8, 6, 7}}, {});
  const TokenTree& tree = all.tree;
  ASSERT_EQ(tree.chains.size(), 6u);
  EXPECT_EQ(split_point(tree, 0, 6), 3) << "the only one at the root";
  EXPECT_EQ(split_point(tree, 0, 3), 1);
  EXPECT_EQ(split_point(tree, 3, 6), 4);
  EXPECT_EQ(split_point(tree, 2, 3), 2) << "one chain is not cut";
}

}  // namespace
}  // namespace trireme
