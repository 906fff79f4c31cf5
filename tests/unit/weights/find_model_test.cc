// Paths and names of the Hugging Face cache, right, nearly right and wrong.
#include <cstdlib>

#include "support/scratch.h"
#include "weights/tensor_source.h"

namespace trireme {
namespace {

/// Clears the variables that decide where the cache is, and puts them back.
class FindModel : public testing::Test {
 protected:
  static constexpr const char* variables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                              "XDG_CACHE_HOME", "HOME"};
  void SetUp() override {
    for (const char* variable : variables) {
      const char* value = std::getenv(variable);
      saved_.push_back(value == nullptr ? "" : value);
      unsetenv(variable);
    }
  }
  void TearDown() override {
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      if (saved_[i].empty()) {
        unsetenv(variables[i]);
      } else {
        setenv(variables[i], saved_[i].c_str(), 1);
      }
    }
  }

  /// A repository of the cache at `cache`, with one snapshot.
  std::filesystem::path add_repository(const std::string& cache, const std::string& folder) {
    scratch_.write(cache + "/" + folder + "/refs/main", "0123abcd");
    scratch_.write(cache + "/" + folder + "/snapshots/0123abcd/config.json", "{}");
    return scratch_.path() / cache / folder / "snapshots/0123abcd";
  }

  void set(const char* variable, const std::string& folder) {
    setenv(variable, (scratch_.path() / folder).c_str(), 1);
  }

  static void expect_message(ErrorKind kind, const std::string& model, const char* revision,
                             std::initializer_list<std::string> parts) {
    const std::string message = message_of(kind, [&] { find_model(model, revision); });
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
    }
  }

  Scratch scratch_;
  std::vector<std::string> saved_;
};

TEST_F(FindModel, TakesADirectory) {
  scratch_.write("m/config.json", "{}");
  EXPECT_EQ(find_model((scratch_.path() / "m").string()), scratch_.path() / "m");
  set("HOME", "");
  EXPECT_EQ(find_model("~/m"), scratch_.path() / "m");
}

TEST_F(FindModel, LooksInTheCacheThatTheVariablesName) {
  const std::pair<const char*, std::string> places[] = {{"HOME", ".cache/huggingface/hub"},
                                                        {"XDG_CACHE_HOME", "huggingface/hub"},
                                                        {"HF_HOME", "hub"},
                                                        {"HUGGINGFACE_HUB_CACHE", "."},
                                                        {"HF_HUB_CACHE", "."}};
  for (const auto& [variable, inside] : places) {  // each wins over those before it
    SCOPED_TRACE(variable);
    const auto snapshot = add_repository(std::string(variable) + "/" + inside, "models--org--name");
    set(variable, variable);
    EXPECT_TRUE(std::filesystem::equivalent(find_model("org/name"), snapshot));
  }
}

TEST_F(FindModel, ExpandsVariablesAsTheHubDoes) {
  const auto snapshot = add_repository("a/b/hub", "models--org--name");
  set("HOME", "a");
  for (const std::string value : {"~/b", "$HOME/b", "${HOME}/b"}) {
    setenv("HF_HOME", value.c_str(), 1);
    EXPECT_TRUE(std::filesystem::equivalent(find_model("org/name"), snapshot)) << value;
  }
  for (const std::string value : {"/x$", "/x${HOME", "/x${}", "/x$TRIREME_NO_SUCH_VARIABLE/"}) {
    setenv("HF_HOME", value.c_str(), 1);
    expect_message(ErrorKind::input, "org/name", "main", {value.c_str()});
  }
}

TEST_F(FindModel, KnowsRevisionsAndNamesWithoutOrganisation) {
  set("HF_HUB_CACHE", "hub");
  const auto main = add_repository("hub", "models--gpt2");
  scratch_.write("hub/models--gpt2/refs/refs/pr/1", "beef\n");
  scratch_.write("hub/models--gpt2/snapshots/beef/config.json", "{}");
  EXPECT_EQ(find_model("gpt2"), main);
  EXPECT_EQ(find_model("gpt2", "0123abcd"), main);
  EXPECT_EQ(find_model("gpt2", "refs/pr/1").filename(), "beef");
}

TEST_F(FindModel, TakesTheGgufFileOfASnapshot) {
  set("HF_HUB_CACHE", "hub");
  scratch_.write("hub/models--org--q/refs/main", "77");
  const std::string file = scratch_.write("hub/models--org--q/snapshots/77/q4.gguf", "");
  EXPECT_EQ(find_model("org/q"), file);
  scratch_.write("hub/models--org--q/snapshots/77/q8.gguf", "");
  expect_message(ErrorKind::input, "org/q", "main", {"several GGUF files", "q4.gguf, q8.gguf"});
}

TEST_F(FindModel, SaysWhereItLooked) {
  set("HF_HUB_CACHE", "hub");
  expect_message(ErrorKind::input, "org/name", "main",
                 {"org/name: no such directory",
                  (scratch_.path() / "hub/models--org--name").string(), "hf download org/name"});
  expect_message(ErrorKind::input, "/no/such/place", "main", {"/no/such/place: no such directory"});
  expect_message(ErrorKind::input, "a/../b", "main", {"no such directory"});
  expect_message(ErrorKind::usage, "", "main", {"--model"});
}

TEST_F(FindModel, RefusesRevisionsThatLeaveTheCache) {
  set("HF_HUB_CACHE", "hub");
  add_repository("hub", "models--gpt2");
  scratch_.write("evil/config.json", "{}");
  for (const char* revision : {"../../../evil", "/etc", "", "a/../../b"}) {
    expect_message(ErrorKind::usage, "gpt2", revision, {"--revision"});
  }
  expect_message(ErrorKind::input, "gpt2", "v2", {"no revision v2", "0123abcd", "--revision v2"});
  scratch_.write("hub/models--gpt2/refs/bad", "../../../evil");
  expect_message(ErrorKind::input, "gpt2", "bad", {"no revision bad"});
}

TEST_F(FindModel, TellsBrokenLinksFromWhatIsNotThere) {
  const std::filesystem::path here = scratch_.path();
  std::filesystem::create_symlink("gone", here / "link");
  expect_message(ErrorKind::input, (here / "link").string(), "main", {"link: this link leads to"});
  std::filesystem::create_symlink("loop", here / "loop");
  expect_message(ErrorKind::input, (here / "loop").string(), "main",
                 {"loop: cannot open: Too many levels of symbolic links"});
  set("HF_HUB_CACHE", "hub");
  std::filesystem::create_directories(here / "hub/models--gpt2/refs");
  std::filesystem::create_symlink("gone", here / "hub/models--gpt2/refs/main");
  expect_message(ErrorKind::input, "gpt2", "main", {"refs/main: cannot open: this link leads to"});
}

TEST_F(FindModel, ExplainsNearMisses) {
  set("HF_HUB_CACHE", "hub");
  add_repository("hub", "models--gpt2");
  const std::string hub = (scratch_.path() / "hub").string();
  expect_message(ErrorKind::input, hub + "/models--gpt2", "main",
                 {"repository of the", "0123abcd"});
  expect_message(ErrorKind::input, hub + "/models--gpt2/snapshots", "main", {"did you mean"});
  expect_message(ErrorKind::input, hub + "/models--gpt2/refs", "main", {"no config.json in"});
  expect_message(ErrorKind::input, hub + "/models--gpt2/snapshots/0123abcd/config.json", "main",
                 {"this is a file"});
  scratch_.write("hub/models--x/refs/main", "77");
  std::filesystem::create_directories(scratch_.path() / "hub/models--x/snapshots/77");
  expect_message(ErrorKind::input, "x", "main", {"incomplete", "hf download x"});
}

}  // namespace
}  // namespace trireme
