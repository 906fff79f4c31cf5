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
                         testing::Values("gpt2", "gpt2_odd", "llama2", "llama3", "mistral", "qwen2",
                                         "split_odd", "whitespace"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace trireme
