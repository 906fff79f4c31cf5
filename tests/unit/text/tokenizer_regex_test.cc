// The translation of Oniguruma's regular expressions: against a table of small cases, and, where
// the library is installed, against Oniguruma itself on random text.
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "text/byte_level.h"
#include "text/regex.h"
#include "text/utf8.h"

#ifdef TRIREME_HAVE_ONIGURUMA
#include "oniguruma_matches.h"
#endif

namespace trireme::text {
namespace {

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<Match> found;
  Regex(pattern, "test").find(text, found);
  std::vector<std::string> result;
  for (const Match& match : found) {
    if (match.is_match) result.push_back(text.substr(match.begin, match.end - match.begin));
  }
  return result;
}

using Strings = std::vector<std::string>;

TEST(Regex, MatchesFamilies) {
  EXPECT_EQ(matches(std::string(kGpt2Pattern), "I'll  pay 12!"),
            (Strings{"I", "'ll", " ", " pay", " 12", "!"}));
}

TEST(Regex, TranslatesWhatDiffers) {
  EXPECT_EQ(matches(R"(\s)", "a\u00a0b\u2003c\u180ed\u0085"),
            (Strings{"\u00a0", "\u2003", "\u0085"}));
  EXPECT_EQ(matches(R"([^\s]+)", "a\u3000b"), (Strings{"a", "b"}));
  EXPECT_EQ(matches(R"(\h+)", "xBEEFx"), (Strings{"BEEF"}));
  EXPECT_EQ(matches("(?m:a.b)", "a\nb"), (Strings{"a\nb"}));
  EXPECT_EQ(matches("a{2}+", "aaaaa"), (Strings{"aaaa"}));
  EXPECT_EQ(matches("a{,2}b", "aaab"), (Strings{"aab"}));
  EXPECT_EQ(matches("a{x", "a{x"), (Strings{"a{x"}));
  EXPECT_EQ(matches(R"([\w&&[^a-c]]+)", "abcdef g"), (Strings{"def", "g"}));
  EXPECT_EQ(matches(R"([a[x-z]&&[^y]]+)", "axyz"), (Strings{"ax", "z"}));
  EXPECT_EQ(matches(R"([^[a-c]\d]+)", "ab12xy"), (Strings{"xy"}));
  EXPECT_EQ(matches(R"([^\W\d]+)", "ab12 cd"), (Strings{"ab", "cd"}));
  EXPECT_EQ(matches(R"(\p{^L}+)", "ab12"), (Strings{"12"}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "a\u4e2d\u6587b"), (Strings{"\u4e2d\u6587"}));
  EXPECT_EQ(matches(R"([[:upper:]]+)", "abCD"), (Strings{"CD"}));
  EXPECT_EQ(matches("(?i:'s)", "'S '\u017f"), (Strings{"'S", "'\u017f"}));
  EXPECT_EQ(matches("x*", "axb"), (Strings{"", "x", ""}));
}

TEST(Regex, KnowsCharactersNewerThanPcre2) {
  EXPECT_EQ(matches(R"(\p{Nd})", "\U00011f50"), (Strings{"\U00011f50"}));
  EXPECT_EQ(matches(R"(\p{Lu})", "\u1c89\u1c8a"), (Strings{"\u1c89"}));
  EXPECT_EQ(matches(R"(\p{L}+)", "a\U0002ebf0b"), (Strings{"a\U0002ebf0b"}));
}

TEST(Regex, RefusesWhatItCannotTranslate) {
  for (const char* pattern : {"(", ")", "[", "[]", "[a", "a(?i)b", "(?x)a", R"(\K)", R"(\Ga)",
                              R"(\p{Nonsense})", R"(\p{L)", "a{2}?", "\\", R"(\x)", "(?<n"}) {
    EXPECT_THROW(Regex(pattern, "test"), Error) << pattern;
  }
  EXPECT_THROW(Regex(std::string(1000, '('), "test"), Error);
  EXPECT_THROW(Regex(std::string(1000, '['), "test"), Error);
}

TEST(Regex, GivesUpOnARunawayPattern) {
  const Regex runaway("(a+)+$", "test");
  std::vector<Match> found;
  EXPECT_THROW(runaway.find(std::string(60, 'a') + "b", found), Error);
}

#ifdef TRIREME_HAVE_ONIGURUMA

std::string random_text(std::mt19937& random) {
  // Blocks without characters newer than Oniguruma 6.9.8's Unicode 14.
  static const std::vector<std::pair<char32_t, char32_t>> kBlocks = {
      {0, 0x7F},        {0x20, 0x7E},     {0x20, 0x7E},      {0x80, 0x17F},    {0x300, 0x36F},
      {0x400, 0x45F},   {0x5D0, 0x5EA},   {0x660, 0x669},    {0x904, 0x939},   {0x1680, 0x1680},
      {0x180B, 0x180E}, {0x2000, 0x206F}, {0x2150, 0x218B},  {0x24B6, 0x24E9}, {0x3000, 0x3029},
      {0x4E00, 0x4EFF}, {0xFF10, 0xFF19}, {0x1F600, 0x1F64F}};
  const char* kPieces[] = {" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "ab", "12", "\n\n"};
  std::string text;
  for (auto parts = random() % 20; parts > 0; --parts) {
    if (random() % 2) {
      text += kPieces[random() % std::size(kPieces)];
    } else {
      const auto [low, high] = kBlocks[random() % kBlocks.size()];
      append_utf8(text, low + static_cast<char32_t>(random() % (high - low + 1)));
    }
  }
  return text;
}

TEST(Regex, AgreesWithOniguruma) {
  const std::vector<std::string> patterns = {
      std::string(kGpt2Pattern),
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)",
      R"([\p{P}\p{S}]+|\p{Han}+|[^\p{P}\p{S}\p{Z}]+)",
      R"(\b\w+\b|\B.)",
      R"(\d+|\D)",
      R"([^\W_]+|\S)",
      R"(^.*$)",
      R"((?<=\s)\S+(?=\s))",
      R"([\w&&[^\p{L}]]+)",
      R"([^a-z&&\w]+)",
      R"([[:alnum:][:space:]]+)",

      R"(\x41|\u0042|\x{43})",
      R"((a|b)\1)",
      R"(.{2,3}?)",
      R"(\p{^Lu}{2}+)"};
  std::mt19937 random(3);
  for (const std::string& pattern : patterns) {
    const Regex regex(pattern, "test");
    for (int round = 0; round < 1000; ++round) {
      const std::string text = random_text(random);
      if (text.empty()) continue;
      EXPECT_EQ(matches(pattern, text), oniguruma_matches(pattern, text)) << pattern << "\n"
                                                                          << text;
      if (HasFailure()) break;
    }
  }
}

#endif

}  // namespace
}  // namespace trireme::text
