// What a job that resumes compares: the model by its content, not by its place or age.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "support/run_program.h"
#include "trireme/engine.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

class Identity : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(fs::path(TRIREME_SOURCE_DIR) / "demo/llama", model); }

  std::string of(const fs::path& directory, Options options = {}) const {
    options.model = directory.string();
    return output_identity(options);
  }

  /// The keys of the lines that are not in both.
  static std::set<std::string> differences(const std::string& a, const std::string& b) {
    std::set<std::string> out;
    for (const auto& [text, other] : {std::pair(a, b), std::pair(b, a)}) {
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) {
        if (("\n" + other).find("\n" + line + "\n") == std::string::npos) {
          out.insert(line.substr(0, line.find('=')));
        }
      }
    }
    return out;
  }

  using Keys = std::set<std::string>;
  const TemporaryFolder folder;
  const fs::path model = folder / "model";
};

TEST_F(Identity, IsThatOfAMovedAndNewlyWrittenCopy) {
  const std::string before = of(model);
  EXPECT_EQ(before.find(folder.path().string()), std::string::npos) << before;
  fs::rename(model, folder / "elsewhere");
  for (const auto& file : fs::directory_iterator(folder / "elsewhere")) {
    fs::last_write_time(file, fs::file_time_type::clock::now() + std::chrono::hours(1));
  }
  EXPECT_EQ(of(folder / "elsewhere"), before);
}

TEST_F(Identity, NamesTheFileThatHasChanged) {
  const std::string before = of(model);
  for (const char* const name : {"generation_config.json", "tokenizer.json", "chat_template.jinja",
                                 "tokenizer_config.json", "config.json"}) {
    const std::string text = read_file(model / name);
    write_file(model / name, text + " ");
    EXPECT_EQ(differences(before, of(model)), Keys{name});
    write_file(model / name, text);
  }
  fs::remove(model / "chat_template.jinja");
  EXPECT_EQ(differences(before, of(model)), Keys{"chat_template.jinja"});
}

// Where they are not, nothing is said: jobs from before they were read go on.
TEST_F(Identity, KnowsTheTokenizerFilesThatOnlyAFewModelsHave) {
  const std::string before = of(model);
  for (const char* const name : {"vocab.txt", "spiece.model", "added_tokens.json"}) {
    EXPECT_EQ(before.find(name), std::string::npos);
    write_file(model / name, "a");
    const std::string with = of(model);
    EXPECT_EQ(differences(before, with), Keys{name});
    write_file(model / name, "b");
    EXPECT_EQ(differences(with, of(model)), Keys{name});
    fs::remove(model / name);
  }
}

TEST_F(Identity, SeesHowAVectorIsMadeOfATextsTokens) {
  const fs::path sentences = folder / "sentences";
  fs::copy(fs::path(TRIREME_SOURCE_DIR) / "tests/data/tasks/bert_mean", sentences,
           fs::copy_options::recursive);
  const std::string before = of(sentences);
  for (const char* const name :
       {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json"}) {
    const std::string text = read_file(sentences / name);
    write_file(sentences / name, text + " ");
    EXPECT_EQ(differences(before, of(sentences)), Keys{name});
    write_file(sentences / name, text);
  }
}

TEST_F(Identity, SeesOtherWeightsOfTheSameShapes) {
  const std::string before = of(model);
  const fs::path file = model / "model.safetensors";
  std::string bytes = read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // the last element of the last tensor
  write_file(file, bytes);
  EXPECT_EQ(differences(before, of(model)), Keys{"model.safetensors"});
}

TEST_F(Identity, TellsKeptCodesFromTheNumbersThatTheyStandFor) {
  const fs::path awq = fs::path(TRIREME_SOURCE_DIR) / "tests/data/golden/qwen3_awq";
  Options none;
  none.quantization = "none";
  EXPECT_EQ(differences(of(awq), of(awq, none)), Keys{"quantization"});
  EXPECT_EQ(of(model), of(model, none));  // nothing is stored in four bits there
}

TEST_F(Identity, SeesOtherCodesScalesAndZeros) {
  const fs::path awq = folder / "awq";
  fs::copy(fs::path(TRIREME_SOURCE_DIR) / "tests/data/golden/qwen3_awq", awq);
  const std::string before = of(awq);
  const std::string bytes = read_file(awq / "model.safetensors");
  const std::string last = "model.layers.1.self_attn.q_proj.";
  for (const char* part : {"qweight", "qzeros", "scales"}) {
    const std::size_t at = bytes.find("\"" + last + part + "\"");
    const std::size_t end = bytes.find(']', bytes.find("data_offsets", at));
    const std::size_t comma = bytes.rfind(',', end);
    const std::size_t header =
        8 + static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1]);
    const std::size_t byte = header + std::stoul(bytes.substr(comma + 1)) - 1;
    std::string changed = bytes;
    changed[byte] = static_cast<char>(changed[byte] ^ 0x10);  // of the last word
    fs::remove(awq / "model.safetensors");
    write_file(awq / "model.safetensors", changed);
    EXPECT_EQ(differences(before, of(awq)), Keys{"model.safetensors"}) << part;
  }
}

TEST_F(Identity, OfMadeUpWeightsIsTheirSeed) {
  Options dummy;
  dummy.load_format = "dummy";
  const std::string first = of(model, dummy);
  fs::remove(model / "model.safetensors");
  EXPECT_EQ(of(model, dummy), first);
  dummy.load_seed = 1;
  EXPECT_EQ(differences(first, of(model, dummy)), Keys{"weights"});
  EXPECT_NE(of("shape:gpt2"), of("shape:tiny"));
}

TEST_F(Identity, DependsOnWhatChangesTheNumbers) {
  Options options;
  const std::string before = of(model, options);
  options.dtype = "bfloat16";
  EXPECT_EQ(of(model, options), before) << "that is the checkpoint's own";
  options.dtype = "float32";
  EXPECT_EQ(differences(before, of(model, options)), Keys{"dtype"});
  options = {};
  options.tensor_parallel_size = 2;
  options.threads = 1;
  EXPECT_EQ(of(model, options), before) << "not on the plan";
}

}  // namespace
}  // namespace trireme
