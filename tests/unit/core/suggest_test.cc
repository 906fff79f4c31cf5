#include "core/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

TEST(EditDistance, CountsSlips) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", "abc"), 0);
  EXPECT_EQ(edit_distance("abc", "abd"), 1);
  EXPECT_EQ(edit_distance("abc", "ab"), 1);
  EXPECT_EQ(edit_distance("abc", "acb"), 1) << "neighbours swapped";
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(DidYouMean, FindsTheClosestAndOnlyIfClose) {
  const std::vector<std::string> flags{"--temperature", "--top-k", "--top-p", "--model", "--seed"};
  EXPECT_EQ(closest("--temprature", flags), "--temperature");
  EXPECT_EQ(closest("--modle", flags), "--model");
  EXPECT_EQ(closest("--temp", flags), "--temperature") << "the beginning of one";
  EXPECT_EQ(closest("--frobnicate", flags), "");
  EXPECT_EQ(did_you_mean("--sed", flags), " (did you mean --seed?)");
  EXPECT_EQ(did_you_mean("--zzzzzz", flags), "");
}

TEST(DidYouMean, VerbsToo) {
  const std::vector<std::string> verbs{"run", "batch", "score", "plan", "launch", "doctor"};
  EXPECT_EQ(closest("scor", verbs), "score");
  EXPECT_EQ(closest("bacth", verbs), "batch");
  EXPECT_EQ(closest("rnu", verbs), "run");
  EXPECT_EQ(closest("xyz", verbs), "");
  EXPECT_EQ(closest(std::string(100000, 'x'), verbs), "") << "and quickly";
}

}  // namespace
}  // namespace trireme
