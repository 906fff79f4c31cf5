// Model directories without a tokenizer.json, beyond the goldens: what the configs change, and
// files as they should not be.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "support/scratch.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

namespace trireme {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

std::filesystem::path data_folder() {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers";
}

std::string bytes_of(const std::string& name) {
  std::ostringstream bytes;
  bytes << std::ifstream(data_folder() / name, std::ios::binary).rdbuf();
  return bytes.str();
}

std::string complaint(const Scratch& folder) {
  try {
    Tokenizer::load(folder.path());
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
}

void expect_complaint(const Scratch& folder, const std::string& part) {
  EXPECT_NE(complaint(folder).find(part), std::string::npos) << complaint(folder);
}

void expect_goldens(const Tokenizer& tokenizer, const std::string& kind) {
  json cases;
  std::ifstream(data_folder() / kind / "golden.json") >> cases;
  for (const json& item : cases) {
    EXPECT_EQ(tokenizer.encode(item["text"].get<std::string>()), Ids(item["ids"])) << item["text"];
  }
}

// The vocabulary of a tokenizer.json, a token a line.
std::string vocabulary_lines(const std::string& kind, const std::string& end_of_line) {
  const json vocab = json::parse(bytes_of(kind + "/tokenizer.json"))["model"]["vocab"];
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [token, id] : vocab.items()) tokens[id.get<std::size_t>()] = token;
  std::string lines;
  for (const std::string& token : tokens) lines += token + end_of_line;
  return lines;
}

TEST(TokenizerFiles, BertNeedsNothingButVocabTxt) {
  for (const char* end_of_line : {"\n", "\r\n", "\r"}) {
    const Scratch folder;
    folder.write("vocab.txt", vocabulary_lines("bert", end_of_line));
    expect_goldens(*Tokenizer::load(folder.path()), "bert");
  }
}

TEST(TokenizerFiles, BertsSpecialTokensAreInAnyOfItsConfigs) {
  const Scratch folder;
  folder.write("vocab.txt", "[PAD]\n[UNK]\n<c>\n<s>\na\nb\na\n");
  folder.write("config.json", R"({"model_type": "distilbert"})");
  folder.write("special_tokens_map.json",
               R"({"cls_token": "<c>", "sep_token": {"content": "<s>"}, "mask_token": "b"})");
  folder.write("added_tokens.json", R"({"zz": 8, "[X]": 7})");
  const auto tokenizer = Tokenizer::load(folder.path());
  // A token that is there twice has the number of its last line.
  EXPECT_EQ(tokenizer->encode("A"), (Ids{2, 6, 3}));
  EXPECT_TRUE(tokenizer->is_special(5));
  EXPECT_EQ(tokenizer->token_to_id("[X]"), 6);  // the vocabulary has six distinct tokens
  EXPECT_EQ(tokenizer->token_to_id("zz"), 7);
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"4": {"content": "a", "special": true}}})");
  EXPECT_EQ(Tokenizer::load(folder.path())->token_to_id("[X]"), std::nullopt);
}

TEST(TokenizerFiles, FamilyDecidesWhatAFileMeans) {
  const Scratch folder;
  folder.write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "BertJapaneseTokenizer"})");
  expect_complaint(folder, "a BertJapaneseTokenizer needs a tokenizer.json; vocab.txt alone is");
  folder.write("tokenizer_config.json", "{}");
  folder.write("config.json", R"({"model_type": "mpnet"})");
  expect_complaint(folder, "a tokenizer of a \"mpnet\" needs a tokenizer.json");
  folder.write("config.json", R"({"model_type": "bert"})");
  EXPECT_EQ(complaint(folder), "");
  const Scratch empty;
  expect_complaint(empty, "neither tokenizer.json nor vocab.json, vocab.txt or spiece.model");
}

TEST(TokenizerFiles, RobertaIsKnownByItsModelToo) {
  const Scratch folder;
  folder.write("vocab.json", bytes_of("roberta_files/vocab.json"));
  folder.write("merges.txt", bytes_of("roberta_files/merges.txt"));
  folder.write("config.json", R"({"model_type": "roberta"})");
  expect_goldens(*Tokenizer::load(folder.path()), "roberta_files");
  // Strings for the roles keep the flags that the family gives them.
  folder.write("special_tokens_map.json", R"({"mask_token": "<mask>", "cls_token": "<s>"})");
  expect_goldens(*Tokenizer::load(folder.path()), "roberta_files");
}

TEST(TokenizerFiles, T5HasAHundredExtraIds) {
  const Scratch folder;
  folder.write("spiece.model", bytes_of("t5_files/spiece.model"));
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 700);
  EXPECT_EQ(tokenizer->encode("<extra_id_0> <extra_id_99>", false), (Ids{699, 600}));
  EXPECT_TRUE(tokenizer->is_special(600));
  folder.write("tokenizer_config.json", R"({"extra_ids": 0})");
  EXPECT_EQ(Tokenizer::load(folder.path())->vocab_size(), 600);
  folder.write("tokenizer_config.json", R"({"extra_ids": -1})");
  expect_complaint(folder, "extra_ids: -1 is outside");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "AlbertTokenizer"})");
  expect_complaint(folder, "a AlbertTokenizer needs a tokenizer.json");
}

// One field of a protocol buffer message: a number, or bytes of at most 127.
std::string number(int field, char value) {
  const int key = field << 3;
  std::string out(1, static_cast<char>(key < 128 ? key : (key & 0x7F) | 0x80));
  if (key >= 128) out += static_cast<char>(key >> 7);
  return out + value;
}
std::string bytes(int field, const std::string& value) {
  return std::string(1, static_cast<char>(field << 3 | 2)) + static_cast<char>(value.size()) +
         value;
}

TEST(SentencePiece, ReadsWhatATokenizerNeeds) {
  const std::string score("\x15\x00\x00\xC0\xBF", 5);  // field 2: -1.5
  const auto model = text::read_sentencepiece(
      bytes(1, bytes(1, "a") + score + number(3, 4)) + bytes(1, bytes(1, "b") + number(9, 1)) +
          bytes(2, number(40, 1) + number(3, 2)) + bytes(3, bytes(2, "rules")) + bytes(15, "new"),
      "here");
  ASSERT_EQ(model.pieces.size(), 2u);
  EXPECT_EQ(model.pieces[0].text, "a");
  EXPECT_EQ(model.pieces[0].score, -1.5f);
  EXPECT_EQ(model.pieces[0].type, text::SentencePieceModel::user_defined);
  EXPECT_EQ(model.pieces[1].type, text::SentencePieceModel::normal);
  EXPECT_EQ(model.unk_id, 1);
  EXPECT_EQ(model.model_type, 2);
  EXPECT_EQ(model.charsmap, "rules");
}

TEST(SentencePiece, RefusesWhatIsNone) {
  const std::string infinite("\x15\x00\x00\x80\x7F", 5);
  const std::pair<std::string, std::string> cases[] = {
      {"", "has no pieces"},
      {"{}", "wire type 3"},
      {std::string(12, '\xFF'), "more than ten bytes"},
      {"\x0A\x05"
       "abc",
       "a field of 5 bytes"},
      {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "a field of 18446744073709551615 bytes"},
      {number(1, 1), "field 1 has another type"},
      {bytes(1, bytes(1, "\xFF")), "not valid UTF-8"},
      {bytes(1, bytes(1, "a") + infinite), "the score of the piece \"a\" is inf"}};
  for (const auto& [content, part] : cases) {
    const Scratch folder;
    folder.write("spiece.model", content);
    expect_complaint(folder, part);
  }
  const Scratch folder;
  folder.write("spiece.model", bytes(1, bytes(1, "a")) + bytes(2, number(3, 2)));
  expect_complaint(folder, "a SentencePiece model of type 2; only Unigram models (1)");
  folder.write("spiece.model", bytes(1, bytes(1, "a")) + bytes(2, number(40, 1)));
  expect_complaint(folder, "unk_id is 1, and there are 1 pieces");
}

// Cut anywhere it is refused, or it is a model with fewer pieces that still works.
TEST(SentencePiece, SurvivesBeingCut) {
  const std::string whole = bytes_of("t5_files/spiece.model");
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    const Scratch folder;
    folder.write("spiece.model", whole.substr(0, size));
    try {
      (void)Tokenizer::load(folder.path())->encode("a\u00a0b\u0301");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

}  // namespace
}  // namespace trireme
