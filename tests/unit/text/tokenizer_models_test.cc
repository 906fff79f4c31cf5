// WordPiece, Unigram and sentencepiece's rules beyond the goldens: files as they should not be,
// what their messages say, and scores as `tokenizers` reads them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "text/charsmap.h"
#include "text/graphemes.h"
#include "text/tokenizer.h"
#include "text/trie.h"

namespace trireme {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> tokenizer_of(const json& model, const json& normalizer = nullptr) {
  return Tokenizer::from_json(json({{"model", model}, {"normalizer", normalizer}}).dump());
}

// What making a tokenizer of this and encoding `text` complains about.
std::string complaint(const json& model, const json& normalizer, const std::string& text = "a") {
  try {
    (void)tokenizer_of(model, normalizer)->encode(text);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
}

void expect_complaint(const std::string& said, const std::string& part) {
  EXPECT_NE(said.find(part), std::string::npos) << said;
}

// `vocab` is JSON: lists of a token and its score.
json unigram(const std::string& vocab) {
  return {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", json::parse(vocab)}};
}

json word_piece(const json& vocab) {
  return {{"type", "WordPiece"},
          {"unk_token", "[UNK]"},
          {"continuing_subword_prefix", "##"},
          {"max_input_chars_per_word", 5},
          {"vocab", vocab}};
}

TEST(Unigram, RefusesMalformedModels) {
  const std::string good = R"([["<unk>", 0], ["a", -1.5]])";
  const auto complain = [](const json& model, const std::string& part) {
    expect_complaint(complaint(model, nullptr), part);
  };
  complain(unigram(R"([["<unk>", 0], ["a"]])"),
           "model.vocab[1]: expected a list of a token and its");
  complain(unigram(R"([["<unk>", 0], ["a", "b"]])"), "model.vocab[1]: expected a list");
  complain(
      unigram("[[\"<unk>\", 0], [\"" + std::string(text::Trie::kMaxBytes + 1, 'a') + "\", -1]]"),
      "the token 1 has 4097 bytes, more than 4096");
  json model = unigram(good);
  model["unk_id"] = 2;
  complain(model, "unk_id is 2, and the vocabulary has 2 tokens");
  model["unk_id"] = -1;
  complain(model, "model.unk_id: -1 is outside 0 to");
  model["unk_id"] = nullptr;
  expect_complaint(complaint(model, nullptr, "ab"), "that the tokenizer does not know (\"b\")");
  EXPECT_EQ(complaint(model, nullptr, "aaa"), "");
  model.erase("vocab");
  complain(model, "\"vocab\" is missing");
}

// serde_json rounds -3.9254567623138428 to -3.925456762313843, so that "ab" and "a" with "b" are a
// tie for `tokenizers`, which the longer token wins.
TEST(Unigram, ReadsScoresAsTokenizersDoes) {
  const std::string vocab =
      R"([["<unk>", 0], ["a", -3.9254567623138428], ["b", 0.0], ["ab", -3.925456762313843]])";
  EXPECT_EQ(tokenizer_of(unigram(vocab))->encode("ab"), (Ids{3}));
}

TEST(Unigram, NumbersAddedTokensBehindTokensThatAreThereTwice) {
  json file = {{"model", unigram(R"([["<unk>", 0], ["a", -1], ["a", -2]])")},
               {"added_tokens", {{{"content", "<x>"}, {"special", true}}}}};
  const auto tokenizer = Tokenizer::from_json(file.dump());
  EXPECT_EQ(tokenizer->encode("a<x>"), (Ids{2, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{1}), "a");
}

TEST(WordPiece, KnowsWordsUpToItsLimit) {
  const auto tokenizer = tokenizer_of(word_piece({{"[UNK]", 0}, {"\u00e9", 1}, {"##\u00e9", 2}}));
  EXPECT_EQ(tokenizer->encode("\u00e9\u00e9\u00e9\u00e9\u00e9"), (Ids{1, 2, 2, 2, 2}));
  EXPECT_EQ(tokenizer->encode("\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"), (Ids{0}));
  EXPECT_EQ(tokenizer->encode("\u00e9\u00e9x"), (Ids{0}));
}

TEST(WordPiece, SaysWhenAWordIsUnknownAndUnkToo) {
  expect_complaint(complaint(word_piece({{"b", 0}}), nullptr),
                   "neither is its unk_token \"[UNK]\"");
  EXPECT_EQ(complaint(word_piece({{"a", 0}}), nullptr), "");
  json model = word_piece({{"a", 0}});
  model["max_input_chars_per_word"] = -1;
  expect_complaint(complaint(model, nullptr), "model.max_input_chars_per_word: -1 is outside");
}

TEST(Models, AreToldApartWithoutAType) {
  json model = word_piece({{"[UNK]", 0}, {"a", 1}, {"##b", 2}});
  model.erase("type");
  EXPECT_EQ(tokenizer_of(model)->encode("ab"), (Ids{1, 2}));
  model.erase("max_input_chars_per_word");
  EXPECT_EQ(tokenizer_of(model)->encode("ab"), (Ids{0}));
  model = unigram(R"([["<unk>", 0], ["a", -1]])");
  model.erase("type");
  EXPECT_EQ(tokenizer_of(model)->encode("a"), (Ids{1}));
}

// A double array in which `a` leads to the replacement at `offset`: the root's children are at 1.
std::string charsmap_bytes(std::uint32_t offset, std::uint32_t units = 256) {
  std::vector<std::uint32_t> array(units);
  array[0] = 1 << 10;                                         // base 1
  if (units > 0x60) array['a' ^ 1] = 'a' | 1 << 8 | 2 << 10;  // leaf at 0x60 ^ 2
  if (units > 0x62) array[('a' ^ 1) ^ 2] = 1U << 31 | offset;
  const std::uint32_t bytes = 4 * units;
  std::string out(reinterpret_cast<const char*>(&bytes), 4);
  out.append(reinterpret_cast<const char*>(array.data()), bytes);
  return out + "b\u00e9" + std::string(1, '\0') + "c";
}

TEST(Charsmap, FindsReplacements) {
  const text::Charsmap charsmap(charsmap_bytes(0), "here");
  EXPECT_EQ(charsmap.replacement("abc"), "b\u00e9");
  EXPECT_EQ(charsmap.replacement("b"), std::nullopt);
  EXPECT_EQ(charsmap.replacement(""), std::nullopt);
  EXPECT_EQ(text::Charsmap(charsmap_bytes(4), "here").replacement("a"), "c");
  EXPECT_EQ(text::Charsmap(charsmap_bytes(5), "here").replacement("a"), "");
}

TEST(Charsmap, ChecksEveryOffset) {
  const auto said = [](const std::string& bytes) -> std::string {
    try {
      (void)text::Charsmap(bytes, "here").replacement("a");
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  expect_complaint(said(""), "here: not a precompiled charsmap: it is too short");
  expect_complaint(said(std::string(8, '\0')), "too short");
  expect_complaint(said("\xFF\xFF\xFF\xFFxxxx"), "too short");
  expect_complaint(said(charsmap_bytes(0, 64)), "it leads to its unit 96 of 64");
  expect_complaint(said(charsmap_bytes(0, 0x62)), "it leads to its unit 98 of 98");
  expect_complaint(said(charsmap_bytes(6)), "no replacement begins at 6");
  expect_complaint(said(charsmap_bytes(2)), "no replacement begins at 2");  // half a character
  expect_complaint(said(charsmap_bytes(0) + "\xFF"), "not valid UTF-8");
}

TEST(Charsmap, IsBase64InTokenizerFiles) {
  EXPECT_EQ(text::from_base64(""), "");
  EXPECT_EQ(text::from_base64("Zg=="), "f");
  EXPECT_EQ(text::from_base64("Zm8="), "fo");
  EXPECT_EQ(text::from_base64("Zm9v"), "foo");
  EXPECT_EQ(text::from_base64("+/+/"), "\xFB\xFF\xBF");
  for (const char* bad : {"Z", "Zm9", "Zm9v=", "Z===", "Zm 9", "Zm9v\n", "Zh==", "Zm9=", "===="}) {
    EXPECT_EQ(text::from_base64(bad), std::nullopt) << bad;
  }
  const json model = unigram(R"([["<unk>", 0], ["a", -1]])");
  expect_complaint(complaint(model, {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}),
                   "normalizer.precompiled_charsmap: not valid base64");
}

TEST(Graphemes, FollowTheRulesOfUnicode) {
  // Each is cut at the bars.
  for (const std::string expected :
       {"a|b", "e\u0301|x", "\r\n|\n|\r|a", "\u0001|\u0301", "\u0600a|b",
        "\u1100\u1161\u11a8|\u1100", "\uac00\u11a8|\u1161", "\uac01\u11a8|\u1161",
        "\u0915\u094d\u0937|\u0915", "\u0915\u094d\u200d\u0937", "\u0915\u094d\u200c|\u0937",
        "\u0e01\u0e33", "\U0001f469\u200d\U0001f467|\U0001f466", "\u00a9\ufe0f\u200d\u00a9",
        "\u00a9\u200d\u200d|\u00a9", "a\u200d|\u00a9",
        "\U0001f1e6\U0001f1e7|\U0001f1e8\U0001f1e9|\U0001f1ea", "\U0001f1e6\u0301|\U0001f1e7"}) {
    std::string text = expected;
    std::erase(text, '|');
    std::string found;
    text::Graphemes graphemes(text);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = graphemes.end_of(at);
      ASSERT_GT(end, at);
      found += (at > 0 ? "|" : "") + text.substr(at, end - at);
      at = end;
    }
    EXPECT_EQ(found, expected);
  }
}

}  // namespace
}  // namespace trireme
