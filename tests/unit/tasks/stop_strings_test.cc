// Stop strings are found however the text is cut, and nothing of them gets out.
#include "tasks/stop_strings.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

std::string feed(StopStrings& stops, std::string_view text, std::size_t piece) {
  std::string out;
  for (std::size_t i = 0; i < text.size() && !stops.stopped(); i += piece) {
    out += stops.push(text.substr(i, piece));
  }
  return stops.stopped() ? out : out + stops.finish();
}

TEST(StopStrings, EndsBeforeTheFirstOneWhateverThePieces) {
  for (std::size_t piece = 1; piece < 30; ++piece) {
    StopStrings stops({"END", "\n\n"});
    EXPECT_EQ(feed(stops, "one ENtwo\nEND three", piece), "one ENtwo\n") << piece;
    EXPECT_TRUE(stops.stopped());
  }
}

TEST(StopStrings, GivesEverythingWhenThereIsNone) {
  for (std::size_t piece = 1; piece < 12; ++piece) {
    StopStrings stops({"aab"});
    EXPECT_EQ(feed(stops, "aaaacaa", piece), "aaaacaa") << piece;
    EXPECT_FALSE(stops.stopped());
  }
}

TEST(StopStrings, HoldsBackWhatCouldBeginOne) {
  StopStrings stops({"stop"});
  EXPECT_EQ(stops.push("a st"), "a ");
  EXPECT_EQ(stops.push("ar"), "star");
  EXPECT_EQ(stops.push("st"), "");
  EXPECT_EQ(stops.finish(), "st");
}

}  // namespace
}  // namespace trireme
