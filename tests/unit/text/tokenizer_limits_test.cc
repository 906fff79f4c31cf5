// Texts of megabytes without a space, made to be slow: the time grows with their length only.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "text/tokenizer.h"

namespace trireme {
namespace {

using nlohmann::json;

constexpr std::size_t kBytes = 4'000'000;
// About fifty times what they take; what is quadratic takes hours.
constexpr std::chrono::seconds kMost{60};

json tokenizer_json(const std::string& kind) {
  json content;
  std::ifstream(std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers" / kind /
                "tokenizer.json") >>
      content;
  return content;
}

std::string repeated(std::string_view unit) {
  std::string text;
  text.reserve(kBytes + unit.size());
  while (text.size() < kBytes) text += unit;
  return text;
}

void expect_fast(const Tokenizer& tokenizer, std::string_view unit) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_LE(tokenizer.encode(repeated(unit)).size(), 2 * kBytes);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kMost) << unit;
}

TEST(TokenizerLimits, WordsOfMegabytes) {
  json bert = tokenizer_json("bert");
  bert["model"]["max_input_chars_per_word"] = 1'000'000'000;
  const auto word_piece = Tokenizer::from_json(bert.dump());
  const auto unigram = Tokenizer::from_json(tokenizer_json("unigram_odd").dump());
  const auto t5 = Tokenizer::from_json(tokenizer_json("t5").dump());
  for (const char* unit : {"ab", "\u4e8c"}) {
    for (const Tokenizer* tokenizer : {word_piece.get(), unigram.get(), t5.get()}) {
      expect_fast(*tokenizer, unit);
    }
  }
}

// Marks of alternating classes: sorting them by exchanging neighbours would take hours.
TEST(TokenizerLimits, RunsOfMarks) {
  for (const char* kind : {"bert", "qwen2", "unigram_odd", "split_odd", "t5"}) {
    expect_fast(*Tokenizer::from_json(tokenizer_json(kind).dump()), "\u0301\u0316");
  }
}

TEST(TokenizerLimits, CleaningUpOneToken) {
  json file = tokenizer_json("bert");
  const std::string content = repeated("x .");
  file["added_tokens"].push_back({{"content", content}, {"special", false}});
  const auto tokenizer = Tokenizer::from_json(file.dump());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(tokenizer->decode(std::vector{tokenizer->token_to_id(content).value()}).size(),
            content.size() / 3 * 2);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kMost);
}

}  // namespace
}  // namespace trireme
