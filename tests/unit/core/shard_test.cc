// Virtual shards cover their dimension; subtrees cover what a rank holds, whatever the cut.
#include "core/shard.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(VirtualShards, AreWideWhereEightRemainAndNarrowElse) {
  EXPECT_EQ(VirtualShards(8192, 64).width(), 512);
  EXPECT_EQ(VirtualShards(2048, 64).width(), 256);
  EXPECT_EQ(VirtualShards(768, 64).count(), 12) << "GPT-2: down to one head";
  EXPECT_EQ(VirtualShards(896, 64).count(), 14);
  EXPECT_EQ(VirtualShards(64, 16).count(), 4);
}

TEST(VirtualShards, CoverTheirDimensionInOrder) {
  for (const std::int64_t size : {1, 7, 96, 1000, 1408, 11008, 32000, 128256}) {
    for (const std::int64_t granule : {1, 8, 64}) {
      const VirtualShards shards(size, granule);
      std::int64_t next = 0;
      for (std::int64_t i = 0; i < shards.count(); ++i) {
        EXPECT_EQ(shards.elements(i).begin, next);
        EXPECT_EQ(shards.elements(i).begin % granule, 0);
        EXPECT_FALSE(shards.elements(i).empty());
        next = shards.elements(i).end;
      }
      EXPECT_EQ(next, size);
      EXPECT_EQ(shards.elements(Range{0, shards.count()}), (Range{0, size}));
    }
  }
}

TEST(Subtrees, OfEverythingIsTheRoot) {
  for (std::int64_t count = 1; count < 40; ++count) {
    EXPECT_EQ(largest_subtrees(count, {0, count}), (std::vector<Range>{{0, count}}));
  }
}

TEST(Subtrees, CoverWhatIsHeldWithoutGapsOrOverlaps) {
  for (std::int64_t count = 1; count < 24; ++count) {
    for (std::int64_t begin = 0; begin <= count; ++begin) {
      for (std::int64_t end = begin; end <= count; ++end) {
        std::int64_t next = begin;
        for (const Range subtree : largest_subtrees(count, {begin, end})) {
          EXPECT_EQ(subtree.begin, next);
          next = subtree.end;
        }
        EXPECT_EQ(next, end);
      }
    }
  }
}

TEST(Subtrees, LeftHalvesArePowersOfTwo) {
  // Seven leaves: ((0 1)(2 3))((4 5) 6).
  EXPECT_EQ(largest_subtrees(7, {0, 4}), (std::vector<Range>{{0, 4}}));
  EXPECT_EQ(largest_subtrees(7, {4, 7}), (std::vector<Range>{{4, 7}}));
  EXPECT_EQ(largest_subtrees(7, {1, 6}), (std::vector<Range>{{1, 2}, {2, 4}, {4, 6}}));
}

TEST(EvenPart, CoversAndDiffersByAtMostOne) {
  for (std::int64_t total = 0; total < 30; ++total) {
    for (std::int64_t parts = 1; parts < 9; ++parts) {
      std::int64_t next = 0;
      for (std::int64_t i = 0; i < parts; ++i) {
        const Range part = even_part(total, parts, i);
        EXPECT_EQ(part.begin, next);
        EXPECT_GE(part.size(), total / parts);
        EXPECT_LE(part.size(), total / parts + 1);
        next = part.end;
      }
      EXPECT_EQ(next, total);
    }
  }
}

}  // namespace
}  // namespace trireme
