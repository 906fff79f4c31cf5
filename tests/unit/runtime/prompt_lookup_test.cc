// Drafts by prompt lookup, against a search through the whole sequence; and how many there are.
#include "runtime/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace trireme {
namespace {

using Tokens = std::vector<std::int32_t>;

/// The definition: the last earlier occurrence of the longest n-gram that has one.
Tokens searched(const Tokens& tokens, const SpeculationLimits& limits, std::int64_t most) {
  for (std::int64_t n = limits.ngram_max; n >= limits.ngram_min; --n) {
    const auto size = static_cast<std::int64_t>(tokens.size());
    for (std::int64_t end = size - 1; end >= n; --end) {
      if (!std::equal(tokens.end() - n, tokens.end(), tokens.begin() + end - n)) continue;
      Tokens all = tokens;
      for (std::int64_t i = 0; i < most; ++i) all.push_back(all[static_cast<std::size_t>(end + i)]);
      return {all.begin() + size, all.end()};
    }
  }
  return {};
}

TEST(PromptLookup, ProposesWhatFollowedTheLastTime) {
  PromptLookup lookup({.ngram_max = 3, .ngram_min = 2});
  EXPECT_EQ(lookup.propose(Tokens{1, 2, 3, 4, 9, 2, 3}, 2), (Tokens{4, 9}));
  PromptLookup later({.ngram_max = 3, .ngram_min = 1});
  EXPECT_EQ(later.propose(Tokens{7, 1, 7, 2, 7}, 1), (Tokens{2})) << "the last occurrence";
  PromptLookup longest({.ngram_max = 2, .ngram_min = 1});
  EXPECT_EQ(longest.propose(Tokens{5, 7, 1, 7, 2, 5, 7}, 1), (Tokens{1})) << "the longest n-gram";
}

TEST(PromptLookup, ALoopGoesOn) {
  PromptLookup lookup({});
  EXPECT_EQ(lookup.propose(Tokens{8, 8, 8, 8}, 5), (Tokens{8, 8, 8, 8, 8}));
  PromptLookup pair({});
  EXPECT_EQ(pair.propose(Tokens{1, 2, 1, 2, 1}, 4), (Tokens{2, 1, 2, 1}));
}

TEST(PromptLookup, ProposesNothingWhereNothingCameBefore) {
  PromptLookup lookup({});
  EXPECT_TRUE(lookup.propose(Tokens{1}, 4).empty());
  EXPECT_TRUE(lookup.propose(Tokens{1, 2}, 4).empty());
  EXPECT_TRUE(lookup.propose(Tokens{1, 2, 3, 1}, 4).empty()) << "one token is below ngram_min";
}

TEST(PromptLookup, AgreesWithASearchHoweverTheSequenceGrows) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    SpeculationLimits limits;
    limits.ngram_min = 1 + static_cast<std::int64_t>(random() % 3);
    limits.ngram_max = limits.ngram_min + static_cast<std::int64_t>(random() % 4);
    const auto vocabulary = 2 + random() % 6;
    PromptLookup lookup(limits);
    Tokens tokens;
    while (tokens.size() < 300) {
      for (auto more = 1 + random() % 9; more > 0; --more) {
        tokens.push_back(static_cast<std::int32_t>(random() % vocabulary));
      }
      const auto most = static_cast<std::int64_t>(random() % 12);
      ASSERT_EQ(lookup.propose(tokens, most), searched(tokens, limits, most));
    }
  }
}

TEST(DraftPace, GrowsWithSuccessAndPausesAfterFailures) {
  DraftPace pace(8);
  EXPECT_EQ(pace.next(), 8);
  pace.record(8, 2);
  EXPECT_EQ(pace.next(), 3);
  pace.record(3, 3);
  EXPECT_EQ(pace.next(), 6);
  pace.record(6, 6);
  EXPECT_EQ(pace.next(), 8);
  pace.record(1, 1);  // there was no room for more
  EXPECT_EQ(pace.next(), 8);
  pace.record(8, 0);
  EXPECT_EQ(pace.next(), 4) << "one failure is no reason to stop";
  std::vector<int> pauses;
  for (int failure = 0; failure < 8; ++failure) {
    pace.record(1, 0);
    pauses.push_back(0);
    while (pace.next() == 0) ++pauses.back();
  }
  EXPECT_EQ(pauses, (std::vector<int>{1, 2, 4, 8, 16, 16, 16, 16}));
  EXPECT_EQ(pace.next(), 1);
  pace.record(1, 1);
  EXPECT_EQ(pace.next(), 2);
  pace.record(2, 0);
  EXPECT_EQ(pace.next(), 1) << "an old failure is forgotten";
}

}  // namespace
}  // namespace trireme
