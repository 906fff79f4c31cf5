// The modules of a sentence-transformers directory.
#include "models/sentence.h"

#include "support/run_program.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using testing::TemporaryFolder;
using testing::write_file;

class Sentence : public ::testing::Test {
 protected:
  Sentence() {
    write_file(folder / "modules.json",
               R"([{"type": "sentence_transformers.models.Transformer", "path": ""},
                   {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])");
    std::filesystem::create_directory(folder / "1_Pooling");
    pool(R"({"pooling_mode_cls_token": true})");
  }

  void pool(const std::string& config) const {
    write_file(folder / "1_Pooling/config.json", config);
  }

  const TemporaryFolder folder;
  const DirectoryTexts texts{folder.path()};
};

TEST_F(Sentence, ReadsItsModules) {
  EXPECT_EQ(read_sentence_modules(texts).pooling, Pooling::first);
  const std::vector<std::string> wanted{"modules.json", "1_Pooling/config.json"};
  EXPECT_EQ(sentence_texts(texts), wanted);
}

TEST_F(Sentence, RefusesWhatItWouldDoOtherwise) {
  pool(R"({"pooling_mode_cls_token": true, "include_prompt": false})");
  expect_contains(message_of(ErrorKind::input, [&] { read_sentence_modules(texts); }),
                  "include_prompt is false");
  pool(R"({"pooling_mode_cls_token": true, "include_prompt": true})");
  write_file(folder / "sentence_bert_config.json", R"({"do_lower_case": true})");
  expect_contains(message_of(ErrorKind::input, [&] { read_sentence_modules(texts); }),
                  "do_lower_case is true");
  write_file(folder / "sentence_bert_config.json", R"({"max_seq_length": 7})");
  EXPECT_EQ(read_sentence_modules(texts).max_tokens, 7);
}

}  // namespace
}  // namespace trireme
