// Tokenizers from GGUF metadata against those that the files were made from, and against what
// transformers makes of scores (tests/data/gguf, made by tools/golden/make_gguf.py).
#include "weights/gguf_tokenizer.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/gguf_bytes.h"
#include "support/scratch.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "weights/gguf_model.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;
using Strings = std::vector<std::string>;

fs::path data(const std::string& path) {
  return fs::path(TRIREME_SOURCE_DIR) / "tests/data" / path;
}

json read_json(const fs::path& path) { return json::parse(std::ifstream(path)); }

class ByteLevel : public testing::TestWithParam<std::string> {};

TEST_P(ByteLevel, TokenizesAsTheTokenizerItWasMadeFrom) {
  const auto files = open_gguf_model(data("gguf/tokenizers/" + GetParam() + ".gguf"));
  const auto tokenizer = Tokenizer::load(*files);
  const json cases = read_json(data("tokenizers/" + GetParam() + "/golden.json"));
  ASSERT_GT(cases.size(), 300u);
  for (const json& item : cases) {
    const Ids ids = item["ids"];
    EXPECT_EQ(tokenizer->encode(item["text"].get<std::string>()), ids) << item["text"];
    EXPECT_EQ(tokenizer->decode(ids), item.value("decoded", std::string(item["text"])));
  }
}

INSTANTIATE_TEST_SUITE_P(Gguf, ByteLevel, testing::Values("gpt2", "llama3", "qwen2"));

TEST(GgufTokenizer, ScoresMergeAsInTransformers) {
  const auto tokenizer = Tokenizer::load(*open_gguf_model(data("gguf/tokenizers/llama2.gguf")));
  const json cases = read_json(data("gguf/tokenizers/llama2.json"));
  ASSERT_GT(cases.size(), 50u);
  for (const json& item : cases) {
    const auto text = item["text"].get<std::string>();
    Ids ids = item["ids"];
    EXPECT_EQ(tokenizer->encode(text, false), ids) << text;
    ids.insert(ids.begin(), 1);
    EXPECT_EQ(tokenizer->encode(text), ids) << "<s> comes first";
  }
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("  naïve\n\xF0\x9F\xA6\x86 ")),
            "  naïve\n\xF0\x9F\xA6\x86 ");
}

TEST(GgufTokenizer, TheTemplateKnowsTheSpecialTokens) {
  const auto chat = ChatTemplate::load(*open_gguf_model(data("gguf/tokenizers/llama2.gguf")));
  ASSERT_TRUE(chat.has_value());
  EXPECT_EQ(chat->render({{{"role", "user"}, {"content", "hi"}}}, {}), "<s>[INST] hi");
  EXPECT_FALSE(
      ChatTemplate::load(*open_gguf_model(data("gguf/tokenizers/qwen2.gguf"))).has_value());
}

/// The metadata of a tokenizer, as if read from m.gguf.
class Metadata : public testing::Test {
 protected:
  Metadata() : metadata_("m.gguf") {
    metadata_.add("general.architecture", std::string("llama"));
    metadata_.add("tokenizer.ggml.model", std::string("llama"));
    metadata_.add("tokenizer.ggml.tokens",
                  Strings{"<unk>", "<s>", "</s>", "a", "b", "ab", "c", "abc", "bc"});
    metadata_.add("tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -9, -9, -3, -9, -1, -2});
  }
  json tokenizer() const { return json::parse(gguf_tokenizer_json(metadata_).value()); }
  void expect_refusal(std::initializer_list<const char*> parts) const {
    const std::string message = message_of(ErrorKind::input, [&] { tokenizer(); });
    expect_contains(message, "m.gguf");
    for (const char* part : parts) expect_contains(message, part);
  }
  GgufMetadata metadata_;
};

TEST_F(Metadata, TheBestScoreMergesFirst) {
  // "abc" (-1) of a+bc and ab+c: bc has the better score, but a pair is compared from its left.
  const json merges = tokenizer()["model"]["merges"];
  EXPECT_EQ(merges, json::parse(R"([["ab", "c"], ["a", "bc"], ["b", "c"], ["a", "b"]])"));
}

TEST_F(Metadata, SpecialRolesCountWithoutTypes) {
  metadata_.add("tokenizer.ggml.bos_token_id", std::int64_t{1});
  const json added = tokenizer()["added_tokens"];
  ASSERT_EQ(added.size(), 1u);
  EXPECT_EQ(added[0]["content"], "<s>");
  EXPECT_EQ(tokenizer()["post_processor"]["single"].size(), 2u);
  metadata_.add("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(tokenizer()["post_processor"]["single"].size(), 1u);
}

TEST_F(Metadata, RefusesListsThatDoNotFit) {
  metadata_.add("tokenizer.ggml.token_type", std::vector<std::int64_t>{1, 2});
  expect_refusal({"tokenizer.ggml.token_type is a list of 2 values", "9, one for each token"});
}

TEST_F(Metadata, RefusesIdsOfNoToken) {
  metadata_.add("tokenizer.ggml.eos_token_id", std::int64_t{9});
  expect_refusal({"tokenizer.ggml.eos_token_id is 9", "the id of one of the 9 tokens"});
}

TEST(GgufMetadataOf, OtherTokenizersAreRefusedByName) {
  const auto message = [](const char* model, const char* pre, Strings tokens) {
    GgufMetadata metadata("m.gguf");
    metadata.add("tokenizer.ggml.model", std::string(model));
    metadata.add("tokenizer.ggml.pre", std::string(pre));
    metadata.add("tokenizer.ggml.tokens", std::move(tokens));
    metadata.add("tokenizer.ggml.merges", Strings{});
    return message_of(ErrorKind::input, [&] { gguf_tokenizer_json(metadata); });
  };
  expect_contains(message("t5", "", {"a"}),
                  "tokenizer.ggml.model is \"t5\"; expected gpt2 or llama");
  expect_contains(message("gpt2", "qwen35", {"a"}),
                  "tokenizer.ggml.pre is \"qwen35\"; expected one of gpt-2");
  expect_contains(message("llama", "", {"a"}), "tokenizer.ggml.scores is missing");
  expect_contains(message("gpt2", "gpt-2", {"\xFF"}), "not UTF-8");
  EXPECT_FALSE(gguf_tokenizer_json(GgufMetadata("m.gguf")).has_value());
}

}  // namespace
}  // namespace trireme
