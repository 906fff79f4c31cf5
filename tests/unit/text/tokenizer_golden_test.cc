// The tokenizers against what Hugging Face's library says about some hundreds of strings per kind
// (tests/data/tokenizers, made by tools/tokenizers/make.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace trireme {
namespace {

using Ids = std::vector<std::int32_t>;

std::filesystem::path data_folder() {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers";
}

class TokenizerGolden : public testing::TestWithParam<std::string> {
 protected:
  TokenizerGolden() : tokenizer_(Tokenizer::load(data_folder() / GetParam())) {
    std::ifstream(data_folder() / GetParam() / "golden.json") >> cases_;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  nlohmann::json cases_;
};

TEST_P(TokenizerGolden, EncodesAsHuggingFace) {
  ASSERT_GT(cases_.size(), 300u);
  for (const auto& item : cases_) {
    const std::string text = item["text"];
    const Ids ids = item["ids"];
    EXPECT_EQ(tokenizer_->encode(text), ids) << item["text"];
    EXPECT_EQ(tokenizer_->encode(text, false), item.contains("plain") ? Ids(item["plain"]) : ids)
        << item["text"];
  }
}

TEST_P(TokenizerGolden, DecodesAsHuggingFace) {
  for (const auto& item : cases_) {
    const Ids ids = item["ids"];
    const std::string decoded = item.value("decoded", std::string(item["text"]));
    EXPECT_EQ(tokenizer_->decode(ids), decoded) << item["text"];
    EXPECT_EQ(tokenizer_->decode(ids, false), item.value("all", decoded)) << item["text"];
  }
}

TEST_P(TokenizerGolden, EncodesPairsAsHuggingFace) {
  nlohmann::json pairs;
  std::ifstream(data_folder() / GetParam() / "pairs.json") >> pairs;
  ASSERT_GT(pairs.size(), 50u);
  for (const auto& item : pairs) {
    const std::string first = item["first"], second = item["second"];
    const std::size_t limit =
        item["limit"].is_null() ? EncodeOptions::kUnlimited : item["limit"].get<std::size_t>();
    const auto encoding = tokenizer_->encode_segments(first, second, {true, limit});
    EXPECT_EQ(encoding.ids, Ids(item["ids"])) << item.dump();
    EXPECT_EQ(encoding.type_ids, Ids(item["types"])) << item.dump();
    const auto plain = tokenizer_->encode_segments(first, second, {false, limit});
    EXPECT_EQ(plain.ids, Ids(item["plain"])) << item.dump();
    EXPECT_EQ(plain.type_ids, Ids(item["plain_types"])) << item.dump();
  }
}

TEST_P(TokenizerGolden, StreamsWhatItDecodes) {
  for (const auto& item : cases_) {
    const Ids ids = item["ids"];
    StreamDecoder stream(*tokenizer_, false);
    std::string streamed;
    for (const std::int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_FALSE(text::invalid_utf8_offset(part)) << item["text"];
      streamed += part;
    }
    streamed += stream.finish();
    EXPECT_EQ(streamed, tokenizer_->decode(ids, false)) << item["text"];
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGolden,
                         testing::Values("bert", "bert_accents", "bert_files", "bert_odd", "gpt2",
                                         "gpt2_odd", "llama2", "llama3", "mistral", "qwen2",
                                         "roberta_files", "split_odd", "spm_first", "t5",
                                         "t5_files", "unigram_odd", "whitespace", "word_level"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace trireme
