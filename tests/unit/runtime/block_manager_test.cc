// Blocks are given out once, remembered by what they hold, and shared only between equal prefixes.
#include "runtime/block_manager.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace trireme {
namespace {

const std::vector<std::int32_t> a{1, 2, 3};
const std::vector<std::int32_t> b{4, 5, 6};

TEST(BlockManager, GivesEachBlockOnceAndThenNone) {
  BlockManager blocks(3);
  std::set<std::int32_t> given;
  for (int i = 0; i < 3; ++i) given.insert(blocks.allocate().value());
  EXPECT_EQ(given, (std::set<std::int32_t>{0, 1, 2}));
  EXPECT_FALSE(blocks.allocate());
  blocks.release(1);
  EXPECT_EQ(blocks.allocate(), 1);
}

TEST(BlockManager, SharesWhatItRemembersAndCountsUsers) {
  BlockManager blocks(2);
  const std::int32_t first = blocks.allocate().value();
  blocks.remember(first, -1, a);
  EXPECT_EQ(blocks.share(-1, a), first);
  EXPECT_FALSE(blocks.share(-1, b));
  blocks.release(first);
  EXPECT_EQ(blocks.available(), 1) << "one user is left";
  blocks.release(first);
  EXPECT_EQ(blocks.available(), 2);
  EXPECT_EQ(blocks.share(-1, a), first) << "still remembered while idle";
  EXPECT_EQ(blocks.available(), 1);
}

TEST(BlockManager, TheSameTokensAfterAnotherPrefixAreAnotherBlock) {
  BlockManager blocks(4);
  const std::int32_t root_a = blocks.allocate().value();
  const std::int32_t root_b = blocks.allocate().value();
  const std::int32_t leaf = blocks.allocate().value();
  blocks.remember(root_a, -1, a);
  blocks.remember(root_b, -1, b);
  blocks.remember(leaf, root_a, b);
  EXPECT_EQ(blocks.share(root_a, b), leaf);
  EXPECT_FALSE(blocks.share(root_b, b));
  EXPECT_EQ(blocks.share(-1, b), root_b);
}

TEST(BlockManager, BlocksThatHoldTheSameGoOnAlike) {
  BlockManager blocks(4);
  const std::int32_t one = blocks.allocate().value();
  const std::int32_t other = blocks.allocate().value();
  const std::int32_t leaf = blocks.allocate().value();
  blocks.remember(one, -1, a);
  blocks.remember(leaf, one, b);
  blocks.remember(other, -1, a);
  EXPECT_EQ(blocks.share(other, b), leaf);
}

TEST(BlockManager, ForgetsTheLeastRecentlyFreedFirst) {
  BlockManager blocks(2);
  const std::int32_t x = blocks.allocate().value();
  const std::int32_t y = blocks.allocate().value();
  blocks.remember(x, -1, a);
  blocks.remember(y, -1, b);
  blocks.release(y);
  blocks.release(x);
  EXPECT_EQ(blocks.allocate(), y);
  EXPECT_FALSE(blocks.share(-1, b)) << "its block has another owner now";
  EXPECT_EQ(blocks.share(-1, a), x);
}

TEST(BlockManager, AReusedParentDoesNotVouchForOldChildren) {
  BlockManager blocks(3);
  const std::int32_t parent = blocks.allocate().value();
  const std::int32_t child = blocks.allocate().value();
  blocks.remember(parent, -1, a);
  blocks.remember(child, parent, b);
  blocks.release(parent);
  ASSERT_TRUE(blocks.allocate());  // the free third block
  EXPECT_EQ(blocks.allocate(), parent);
  blocks.remember(parent, -1, std::vector<std::int32_t>{7, 8, 9});
  EXPECT_FALSE(blocks.share(parent, b)) << "the child follows what the parent held before";
}

}  // namespace
}  // namespace trireme
