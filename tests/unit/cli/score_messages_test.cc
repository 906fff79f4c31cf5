#include "cli/score_messages.h"

#include <gtest/gtest.h>

#include "trireme/error.h"

namespace trireme {
namespace {

TEST(ScoreMessages, SurviveTheTrip) {
  const auto row =
      std::get<ScoredRow>(decode_score_message(encode(ScoredRow{7, true, {1, 2, 3}, "a line\n"})));
  EXPECT_EQ(row.row, 7u);
  EXPECT_TRUE(row.failed);
  EXPECT_EQ(row.token_ids, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(row.line, "a line\n");
  const auto part =
      std::get<LogitsPart>(decode_score_message(encode(LogitsPart{1, 5, {0.5f, -1.0f}})));
  EXPECT_EQ(part.first, 5);
  EXPECT_EQ(part.logits, (std::vector<float>{0.5f, -1.0f}));
  const auto limits =
      std::get<ScoreLimits>(decode_score_message(encode(ScoreLimits{9, 1u << 30, true})));
  EXPECT_EQ(limits.rows_below, 9u);
  EXPECT_EQ(limits.floats_taken, 1u << 30);
  EXPECT_TRUE(limits.stop);
}

TEST(ScoreMessages, RefuseWhatIsCutShort) {
  const std::string bytes = encode(ScoredRow{7, true, {1, 2, 3}, "a line"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(decode_score_message(bytes.substr(0, size)), Error) << size;
  }
  EXPECT_THROW(decode_score_message("\x7f"), Error);
}

}  // namespace
}  // namespace trireme
