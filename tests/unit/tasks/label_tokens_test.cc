// Labels as what follows a prompt, over tokenizers of every kind: BPE over bytes, SentencePiece's
// BPE and Unigram, words.
#include "tasks/label_tokens.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/scratch.h"

namespace trireme {
namespace {

using Ids = std::vector<std::int32_t>;

class LabelTokensTest : public ::testing::Test {
 protected:
  void use(const std::string& tokenizer) {
    texts_.emplace(std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tokenizers" / tokenizer);
    prompts_.emplace(*texts_, 2000, 0);
    labels_.emplace(*prompts_, Ids{1}, [] {});
  }
  LabelledPrompt after(const std::string& prompt, std::vector<std::string> choices) {
    Request request;
    request.prompt = prompt;
    request.choices = std::move(choices);
    return labels_->after(request, std::nullopt);
  }
  Ids encode(const std::string& text) const { return prompts_->encode_plain(text, true); }
  /// A label's tokens, put together again.
  static Ids tokens(const LabelledPrompt& prompt, std::size_t label) {
    Ids ids;
    for (const std::int32_t at : prompt.labels->ways.at(label).steps) {
      ids.push_back(prompt.labels->tree.targets.at(static_cast<std::size_t>(at)));
    }
    return ids;
  }
  static Ids joined(const LabelledPrompt& prompt, std::size_t label) {
    Ids ids = prompt.prompt;
    const Ids more = tokens(prompt, label);
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  }

  std::optional<DirectoryTexts> texts_;
  std::optional<Prompts> prompts_;
  std::optional<LabelTokens> labels_;
};

/// Prompt and label together are read as one text wherever that can be.
TEST_F(LabelTokensTest, ArePartOfOneText) {
  const std::vector<std::string> labels{"good", "bad", "not so good"};
  for (const char* tokenizer : {"gpt2", "llama2", "llama3", "qwen2", "mistral", "word_level"}) {
    use(tokenizer);
    for (const std::string prompt :
         {"This is ", "It is: ", "One line.\nThe word: ", "One line.\n\nThe next:\n"}) {
      const LabelledPrompt read = after(prompt, labels);
      for (std::size_t i = 0; i < labels.size(); ++i) {
        EXPECT_EQ(joined(read, i), encode(prompt + labels[i])) << tokenizer << ": " << prompt;
      }
    }
  }
}

/// "Ġ" alone is no beginning of "Ġgood": the space goes to the label.
TEST_F(LabelTokensTest, TakeTheSpacesBeforeThem) {
  use("gpt2");
  EXPECT_EQ(after("It is: ", {"good", "bad"}).prompt, encode("It is:"));
  EXPECT_EQ(after("It is:", {"good", "bad"}).prompt, encode("It is:"));
  EXPECT_EQ(after("It is:\n", {"good", "bad"}).prompt, encode("It is:\n")) << "line ends stay";
  EXPECT_EQ(after("  ", {"good", "bad"}).prompt, encode("  ")) << "something must be left";
}

/// "wor" and "d" are other tokens than "word": a label that merges with the prompt's last word is
/// read alone, and the prompt stays one for all.
TEST_F(LabelTokensTest, AreReadAloneWhereTheyMergeWithAWord) {
  int merged = 0;
  for (const char* tokenizer : {"gpt2", "llama2", "mistral", "word_level"}) {
    use(tokenizer);
    const std::string prompt = "the wor";
    const LabelledPrompt read = after(prompt, {"d", " one"});
    EXPECT_EQ(read.prompt, encode(prompt)) << tokenizer;
    EXPECT_EQ(joined(read, 1), encode(prompt + " one")) << tokenizer;
    const Ids whole = encode(prompt + "d");
    const Ids& ids = read.prompt;
    const bool fits =
        whole.size() > ids.size() && std::equal(ids.begin(), ids.end(), whole.begin());
    if (fits) continue;
    ++merged;
    EXPECT_EQ(tokens(read, 0), prompts_->encode_plain("d", false)) << tokenizer;
  }
  EXPECT_GE(merged, 2);
}

/// The last line is enough, and gives what the whole prompt does.
TEST_F(LabelTokensTest, AreTheSameAfterOneLineAndAfterMany) {
  for (const char* tokenizer : {"gpt2", "llama2", "llama3", "qwen2"}) {
    use(tokenizer);
    const std::vector<std::string> labels{"good", "bad"};
    const LabelledPrompt one = after("It is: ", labels);
    const LabelledPrompt many = after("Is it good?\nTell me.\nIt is: ", labels);
    const LabelledPrompt other = after("Was it bad?\nIt is: ", labels);
    EXPECT_EQ(joined(many, 0), encode("Is it good?\nTell me.\nIt is: good")) << tokenizer;
    EXPECT_EQ(tokens(one, 0), tokens(many, 0)) << tokenizer;
    EXPECT_EQ(tokens(one, 1), tokens(other, 1)) << tokenizer;
  }
}

TEST_F(LabelTokensTest, AreReadOnceForRowsThatEndAlike) {
  use("qwen2");
  const std::vector<std::string> labels{"good", "bad"};
  const LabelledPrompt first = after("Is it good?\nIt is: ", labels);
  const LabelledPrompt second = after("Was it bad?\nIt is: ", labels);
  EXPECT_EQ(first.labels, second.labels);
  EXPECT_NE(after("Was it bad?\nIt is: ", {"bad", "good"}).labels, first.labels);
  EXPECT_NE(first.prompt, second.prompt);
}

TEST_F(LabelTokensTest, OfAnswersAreReadAlone) {
  use("t5");
  const LabelledPrompt read = labels_->alone({"good", "bad"});
  EXPECT_EQ(tokens(read, 0), prompts_->encode_plain("good", false)) << "no end of text";
}

TEST_F(LabelTokensTest, LengthsAreTheLongest) {
  use("qwen2");
  const LabelledPrompt read = after("It is: ", {"good", "not so very good"});
  EXPECT_EQ(read.longest, static_cast<std::int64_t>(tokens(read, 1).size()));
}

}  // namespace
}  // namespace trireme
