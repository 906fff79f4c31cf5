// Pairs of texts beyond the goldens: how a limit divides them, and templates that cannot be meant.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "text/tokenizer.h"

namespace trireme {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

json bert_json() {
  json content;
  std::ifstream(std::filesystem::path(TRIREME_SOURCE_DIR) /
                "tests/data/tokenizers/bert/tokenizer.json") >>
      content;
  return content;
}

std::string complaint(const Tokenizer& tokenizer, const EncodeOptions& options = {}) {
  try {
    (void)tokenizer.encode_segments("a", "b", options);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
}

TEST(LongestFirst, CutsTheLongerTextFirst) {
  using Sizes = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(longest_first(3, 4, 7), Sizes(3, 4));
  EXPECT_EQ(longest_first(3, 9, 7), Sizes(3, 4));
  EXPECT_EQ(longest_first(9, 3, 7), Sizes(4, 3));
  EXPECT_EQ(longest_first(9, 8, 7), Sizes(4, 3));
  EXPECT_EQ(longest_first(8, 9, 7), Sizes(3, 4));
  EXPECT_EQ(longest_first(9, 9, 7), Sizes(3, 4));
  EXPECT_EQ(longest_first(9, 0, 7), Sizes(7, 0));
  EXPECT_EQ(longest_first(9, 8, 0), Sizes(0, 0));
  const auto huge = EncodeOptions::kUnlimited;
  EXPECT_EQ(longest_first(5, 6, huge), Sizes(5, 6));
}

TEST(LongestFirst, FillsTheRoomAndNeverExceedsIt) {
  for (std::size_t first = 0; first < 12; ++first) {
    for (std::size_t second = 0; second < 12; ++second) {
      for (std::size_t limit = 0; limit < 24; ++limit) {
        const auto [a, b] = longest_first(first, second, limit);
        EXPECT_EQ(a + b, std::min(limit, first + second));
        EXPECT_LE(a, first);
        EXPECT_LE(b, second);
      }
    }
  }
}

TEST(EncodeSegments, CountsSpecialTokensAgainstTheLimit) {
  const auto bert = Tokenizer::from_json(bert_json().dump());
  EXPECT_EQ(bert->encode_segments("a", "b", {.max_length = 3}).ids, (Ids{2, 3, 3}));
  EXPECT_EQ(bert->encode_segments("a b c", std::nullopt, {.max_length = 2}).ids, (Ids{2, 3}));
  EXPECT_EQ(complaint(*bert, {.max_length = 2}),
            "an encoding of at most 2 tokens has no room for the 3 special ones");
  EXPECT_EQ(
      bert->encode_segments("a b c", "b", {.add_special_tokens = false, .max_length = 2}).type_ids,
      (Ids{0, 1}));
}

TEST(EncodeSegments, GivesTypesWithoutAPostProcessor) {
  json content = bert_json();
  content.erase("post_processor");
  const auto encoding = Tokenizer::from_json(content.dump())->encode_segments("a", "b");
  EXPECT_EQ(encoding.ids.size(), 2u);
  EXPECT_EQ(encoding.type_ids, (Ids{0, 1}));
}

TEST(EncodeSegments, SaysWhatIsWrongWithTheTemplateOfPairs) {
  json content = bert_json();
  json& pair = content["post_processor"]["pair"];
  pair.erase(3);
  const auto one = Tokenizer::from_json(content.dump());
  EXPECT_EQ(one->encode("a").size(), 3u);
  EXPECT_EQ(complaint(*one),
            "tokenizer.json: post_processor.pair: names the text B 0 times instead of once");
  pair = json::array();
  EXPECT_NE(complaint(*Tokenizer::from_json(content.dump())).find("the text A 0 times"),
            std::string::npos);
}

TEST(EncodeSegments, RefusesTemplatesThatCannotBeMeant) {
  const auto refused = [](const json& single) {
    json content = bert_json();
    content["post_processor"]["single"] = single;
    EXPECT_THROW(Tokenizer::from_json(content.dump()), Error) << single;
  };
  const json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json b = {{"Sequence", {{"id", "B"}, {"type_id", 0}}}};
  refused(json::array());
  refused({a, a});
  refused({a, b});
  refused({{{"Sequence", {{"id", "C"}, {"type_id", 0}}}}});
  refused({a, {{"SpecialToken", {{"id", "[NONE]"}, {"type_id", 0}}}}});
  refused({{{"Sequence", {{"id", "A"}, {"type_id", -1}}}}});
}

}  // namespace
}  // namespace trireme
