// StreamDecoder: what it may say at once and what it must hold back.
#include <gtest/gtest.h>

#include <random>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace trireme {
namespace {

using Ids = std::vector<std::int32_t>;
using Parts = std::vector<std::string>;

std::unique_ptr<Tokenizer> load(const std::string& kind) {
  return Tokenizer::load(std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers" /
                         kind);
}

// What every push and, last, finish() returns.
Parts stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special_tokens = true) {
  StreamDecoder decoder(tokenizer, skip_special_tokens);
  Parts parts;
  for (const std::int32_t id : ids) parts.push_back(decoder.push(id));
  parts.push_back(decoder.finish());
  return parts;
}

Ids ids_of(const Tokenizer& tokenizer, const std::vector<std::string>& tokens) {
  Ids ids;
  for (const std::string& token : tokens) ids.push_back(tokenizer.token_to_id(token).value());
  return ids;
}

TEST(StreamDecoder, HoldsBackHalfACharacter) {
  const auto gpt2 = load("gpt2");
  // U+20AC is E2 82 AC; in the byte-level alphabet that is U+00E2, U+0124 and U+00AC.
  const Ids euro = ids_of(*gpt2, {"\u00e2", "\u0124", "\u00ac"});
  EXPECT_EQ(stream(*gpt2, euro), (Parts{"", "", "\u20ac", ""}));
  // Cut short, it is one replacement character, at the latest when nothing follows.
  EXPECT_EQ(stream(*gpt2, {euro[0], euro[1]}), (Parts{"", "", "\ufffd"}));
  const Ids broken = {euro[0], euro[1], ids_of(*gpt2, {"a"})[0]};
  EXPECT_EQ(stream(*gpt2, broken), (Parts{"", "", "\ufffda", ""}));
  EXPECT_EQ(stream(*gpt2, {euro[1]}), (Parts{"\ufffd", ""}));
}

TEST(StreamDecoder, LeavesSpecialTokensOutOfACharacter) {
  const auto gpt2 = load("gpt2");
  const Ids ids = ids_of(*gpt2, {"\u00e2", "\u0124", "<|endoftext|>", "\u00ac"});
  EXPECT_EQ(stream(*gpt2, ids), (Parts{"", "", "", "\u20ac", ""}));
  EXPECT_EQ(stream(*gpt2, ids, false), (Parts{"", "", "\ufffd<|endoftext|>", "\ufffd", ""}));
}

// Any later byte token can still make a run of them invalid, and then all of it is U+FFFD.
TEST(StreamDecoder, HoldsBackARunOfByteTokens) {
  const auto llama = load("llama2");
  const Ids ids = ids_of(*llama, {"<s>", "\u2581", "a", "<0xE2>", "<0x82>", "<0xAC>", "b"});
  EXPECT_EQ(stream(*llama, ids), (Parts{"", "", "a", "", "", "", "\u20acb", ""}));
  const Ids invalid = ids_of(*llama, {"<0x0A>", "<0xFF>", "a"});
  EXPECT_EQ(stream(*llama, invalid), (Parts{"", "", "\ufffd\ufffda", ""}));
}

TEST(StreamDecoder, StripsTheFirstSpaceOnly) {
  const auto llama = load("llama2");
  const Ids ids = ids_of(*llama, {"\u2581", "\u2581", "a", "\u2581", "b"});
  EXPECT_EQ(stream(*llama, ids), (Parts{"", " ", "a", " ", "b", ""}));
}

TEST(StreamDecoder, StartsAnewAfterFinish) {
  const auto llama = load("llama2");
  const std::int32_t a = llama->token_to_id("\u2581a").value();
  StreamDecoder decoder(*llama);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(decoder.push(a), "a");
    EXPECT_EQ(decoder.push(a), " a");
    EXPECT_EQ(decoder.finish(), "");
  }
}

TEST(StreamDecoder, AgreesWithDecodeOnRandomIds) {
  std::mt19937 random(5);
  for (const char* kind : {"gpt2", "llama2", "llama3", "mistral", "qwen2", "whitespace", "bert",
                           "bert_odd", "t5", "unigram_odd"}) {
    const auto tokenizer = load(kind);
    std::uniform_int_distribution<std::int32_t> id(0, tokenizer->vocab_size());
    for (int round = 0; round < 500; ++round) {
      Ids ids;
      for (int i = 0; i < 12; ++i) {
        // The ids of Llama 2's byte tokens come often, to make runs of them.
        ids.push_back(random() % 2 ? id(random) : 3 + static_cast<std::int32_t>(random() % 256));
      }
      for (const bool skip : {true, false}) {
        std::string joined;
        for (const std::string& part : stream(*tokenizer, ids, skip)) {
          EXPECT_FALSE(text::invalid_utf8_offset(part));
          joined += part;
        }
        EXPECT_EQ(joined, tokenizer->decode(ids, skip));
      }
    }
  }
}

}  // namespace
}  // namespace trireme
