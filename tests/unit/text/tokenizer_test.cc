// What the goldens do not show: files as they should not be, GPT-2's old pair of files, text that
// is not UTF-8, very long words, and many threads on one tokenizer.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/error.h"
#include "support/scratch.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

fs::path data_folder() { return fs::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers"; }

json tokenizer_json(const std::string& kind) {
  json content;
  std::ifstream(data_folder() / kind / "tokenizer.json") >> content;
  return content;
}

// What loading this tokenizer.json complains about; nothing if it does not.
std::string complaint(const std::string& content) {
  try {
    Tokenizer::from_json(content);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
}

void expect_complaint(const json& content, const std::string& part) {
  EXPECT_NE(complaint(content.dump()).find(part), std::string::npos) << complaint(content.dump());
}

TEST(Tokenizer, FindsTokensAndIds) {
  const auto llama = Tokenizer::load(data_folder() / "llama2");
  EXPECT_EQ(llama->vocab_size(), 1000);
  EXPECT_EQ(llama->token_to_id("<s>"), 1);
  EXPECT_EQ(llama->id_to_token(2), "</s>");
  EXPECT_TRUE(llama->is_special(1));
  EXPECT_FALSE(llama->is_special(300));
  EXPECT_FALSE(llama->is_special(-1));
  EXPECT_FALSE(llama->is_special(1 << 30));
  EXPECT_EQ(llama->token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(llama->id_to_token(1000), std::nullopt);
}

TEST(Tokenizer, PassesOverUnknownIds) {
  const auto gpt2 = Tokenizer::load(data_folder() / "gpt2");
  Ids ids = gpt2->encode("hello");
  ids.insert(ids.begin() + 1, {-1, 1 << 30, 800});
  EXPECT_EQ(gpt2->decode(ids), "hello");
}

TEST(Tokenizer, SaysWhereTextIsNotUtf8) {
  const auto gpt2 = Tokenizer::load(data_folder() / "gpt2");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"abc\xFF", "byte 3 is 0xFF"},
      {"\xC3", "byte 0 is 0xC3"},
      {"a\xED\xA0\x80", "byte 1 is 0xED"},
      {"\xE2\x82\xAC\xC0\x80", "byte 3 is 0xC0"},
      {"x\xF4\x90\x80\x80", "byte 1 is 0xF4"}};
  for (const auto& [text, message] : cases) {
    try {
      gpt2->encode(text);
      ADD_FAILURE() << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  }
}

TEST(Tokenizer, IgnoresTruncationAndPadding) {
  json content = tokenizer_json("gpt2");
  content["truncation"] = {{"max_length", 2}, {"stride", 0}};
  content["padding"] = {{"pad_id", 0}};
  const auto tokenizer = Tokenizer::from_json(content.dump());
  EXPECT_GT(tokenizer->encode("one two three four five six").size(), 5u);
}

TEST(Tokenizer, NamesUnknownComponents) {
  const json good = tokenizer_json("llama2");
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    json content = good;
    content[part] = {{"type", "Mystery"}};
    expect_complaint(content, "\"Mystery\"; the known ones are Sequence");
  }
  json content = good;
  content["model"]["type"] = "Mystery";
  expect_complaint(content, "unknown tokenizer model \"Mystery\"; the known ones are BPE");
  content = good;
  content["normalizer"]["normalizers"][0].erase("type");
  expect_complaint(content, "normalizer.normalizers[0]: the member \"type\" is missing");
}

TEST(Tokenizer, RefusesMalformedFiles) {
  EXPECT_NE(complaint("{").find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("").find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("[]").find("expected an object, found a list"), std::string::npos);
  EXPECT_NE(complaint("{}").find("\"model\" is missing"), std::string::npos);
  EXPECT_NE(complaint(std::string(100'000, '[')).find("not valid JSON"), std::string::npos);
  const json good = tokenizer_json("gpt2");
  json content = good;
  content["model"]["vocab"]["hello"] = -5;
  expect_complaint(content, "the id of \"hello\"");
  content["model"]["vocab"]["hello"] = 4'000'000'000;
  expect_complaint(content, "the id of \"hello\"");
  content = good;
  content["model"]["merges"].push_back("one two three");
  expect_complaint(content, "is not two tokens with one space between");
  content = good;
  content["model"]["merges"].push_back(json::array({"q", "nowhere"}));
  expect_complaint(content, "the token \"nowhere\" is not in the vocabulary");
  content = good;
  content["model"]["dropout"] = 0.1;
  expect_complaint(content, "dropout is for training");
  content = good;
  content["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}};
  expect_complaint(content, "pre_tokenizer.pattern.Regex");
  content = tokenizer_json("llama3");
  content["post_processor"]["processors"][1]["special_tokens"] = json::object();
  expect_complaint(content, "\"<|begin_of_text|>\" is missing");
}

TEST(Tokenizer, SaysWhenThereIsNone) {
  const Scratch folder;
  EXPECT_THROW(Tokenizer::load(folder.path()), Error);
  EXPECT_THROW(Tokenizer::load(folder.path() / "nowhere"), Error);
}

// A broken link (an incomplete download) is not as if there were no such file.
TEST(Tokenizer, NamesFilesThatCannotBeRead) {
  for (const std::string name :
       {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"}) {
    const Scratch folder;
    if (name != "tokenizer.json") {
      folder.write("vocab.json", "{}");
      folder.write("merges.txt", "");
      fs::remove(folder.path() / name);
    }
    fs::create_symlink("blob", folder.path() / name);
    try {
      Tokenizer::load(folder.path());
      ADD_FAILURE() << name << " was not missed";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name + ": cannot open: this link"),
                std::string::npos)
          << error.what();
    }
  }
}

// Takes a tokenizer.json apart into the pair of files that came before it.
void write_old_files(const Scratch& folder, const json& content) {
  folder.write("vocab.json", content["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const json& merge : content["model"]["merges"]) {
    merges += merge.is_string() ? merge.get<std::string>()
                                : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    merges += "\n";
  }
  folder.write("merges.txt", merges);
}

void expect_goldens(const Tokenizer& tokenizer, const std::string& kind) {
  json cases;
  std::ifstream(data_folder() / kind / "golden.json") >> cases;
  for (const json& item : cases) {
    EXPECT_EQ(tokenizer.encode(item["text"].get<std::string>()), Ids(item["ids"])) << item["text"];
  }
}

TEST(Tokenizer, ReadsVocabularyAndMergesOfGpt2) {
  const Scratch folder;
  write_old_files(folder, tokenizer_json("gpt2"));
  expect_goldens(*Tokenizer::load(folder.path()), "gpt2");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer",
      "add_bos_token": true, "bos_token": {"content": "<|endoftext|>", "__type": "AddedToken"}})");
  const auto with_bos = Tokenizer::load(folder.path());
  EXPECT_EQ(with_bos->encode("").size(), 1u);
  EXPECT_EQ(with_bos->encode("", false).size(), 0u);
  EXPECT_TRUE(with_bos->is_special(with_bos->encode("")[0]));
}

TEST(Tokenizer, ReadsVocabularyAndMergesOfQwen2) {
  const json content = tokenizer_json("qwen2");
  const Scratch folder;
  write_old_files(folder, content);
  json config = {{"tokenizer_class", "Qwen2Tokenizer"}, {"bos_token", nullptr}};
  for (const json& token : content["added_tokens"]) {
    config["added_tokens_decoder"][std::to_string(token["id"].get<int>())] = token;
  }
  folder.write("tokenizer_config.json", config.dump());
  expect_goldens(*Tokenizer::load(folder.path()), "qwen2");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "CTRLTokenizer"})");
  EXPECT_THROW(Tokenizer::load(folder.path()), Error);
}

// A word of a million letters in well under the time that merging it pair by pair would take.
TEST(Tokenizer, ManagesVeryLongWords) {
  const auto llama = Tokenizer::load(data_folder() / "llama2");
  const auto start = std::chrono::steady_clock::now();
  const std::string word(1'000'000, 'e');
  const Ids ids = llama->encode(word, false);
  EXPECT_EQ(llama->decode(ids), word);
  const std::string spaces(300'000, ' ');
  EXPECT_EQ(llama->decode(llama->encode(spaces)), spaces);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Tokenizer, ManagesLongRunsUnderRegularExpressions) {
  for (const char* kind : {"gpt2", "llama3", "qwen2"}) {
    const auto tokenizer = Tokenizer::load(data_folder() / kind);
    for (const char* unit : {" ", "\n", " \n", "a", "1", "!", "\xC2\xA0", "\xE4\xB8\xAD"}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
  }
}

TEST(Tokenizer, ServesManyThreads) {
  const auto tokenizer = Tokenizer::load(data_folder() / "qwen2");
  json cases;
  std::ifstream(data_folder() / "qwen2" / "golden.json") >> cases;
  std::vector<std::thread> threads;
  std::atomic<int> differences = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const json& item : cases) {
        const Ids ids = item["ids"];
        const std::string text = item["text"];
        if (tokenizer->encode(text) != ids) ++differences;
        if (tokenizer->decode(ids) != item.value("decoded", text)) ++differences;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, 0);
}

}  // namespace
}  // namespace trireme
