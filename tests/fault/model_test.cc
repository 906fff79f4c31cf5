// A model that is broken ends a job at once, with one message, however many replicas there are; one
// that has moved is the same, and one that has changed is another.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

namespace fs = std::filesystem;

class Model : public ::testing::TestWithParam<Words> {
 protected:
  void SetUp() override { fs::copy(fs::path(TRIREME_SOURCE_DIR) / "demo/llama", path()); }
  fs::path path() const { return folder_ / "model"; }

  /// Runs a job with the spoiled model. It fails at once, before any row has come, and says `part`
  /// once.
  void expect_failure(const Words& flags, const std::string& part) const {
    Words words = flags;
    words.insert(words.end(), {"--model", path()});
    const Job job(5, words);
    const Pipe pipe(job);
    pipe.fill("{\"prompt\": \"To be or");  // enough to see the format
    const auto begin = std::chrono::steady_clock::now();
    const auto running = job.start(GetParam());
    const Outcome outcome = running->wait();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(taken.count(), 10);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    const std::size_t said = outcome.err.find(part);
    EXPECT_NE(said, std::string::npos) << outcome.err;
    EXPECT_EQ(said, outcome.err.rfind(part)) << outcome.err;
    EXPECT_EQ(outcome.err.find("starts again"), std::string::npos) << outcome.err;
    EXPECT_TRUE(running->nothing_left());
    EXPECT_FALSE(fs::exists(job.output()));
  }

 private:
  TemporaryFolder folder_;
};

TEST_P(Model, WithoutTokenizerFailsOnce) {
  fs::remove(path() / "tokenizer.json");
  expect_failure({}, "no tokenizer");
}

TEST_P(Model, WithABadGenerationConfigFailsOnce) {
  write_file(path() / "generation_config.json", R"({"eos_token_id": [-4]})");
  expect_failure({}, "eos_token_id is");
}

TEST_P(Model, WithABrokenChatTemplateFailsOnceWhereChatIsAskedFor) {
  write_file(path() / "chat_template.jinja", "{% for %}");
  expect_failure({"--chat"}, "chat_template.jinja");
  Job plain(5, {"--model", path()});
  EXPECT_EQ(plain.run(GetParam()).exit_code, 0) << "plain prompts need none";
}

INSTANTIATE_TEST_SUITE_P(Plans, Model,
                         ::testing::Values(Words{}, Words{"-dp", "2"},
                                           Words{"-dp", "2", "-tp", "2"}));

TEST(ModelOfAJob, MayMoveButNotChange) {
  const TemporaryFolder folder;
  fs::copy(fs::path(TRIREME_SOURCE_DIR) / "demo/llama", folder / "model");
  Job job(150);
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"-dp", "2", "--model", folder / "model"});
  ASSERT_TRUE(job.await_growth(*running, some));
  send_signal(running->pid(), SIGKILL);
  running->wait();

  const fs::path moved = folder / "moved";
  fs::rename(folder / "model", moved);
  const std::string weights = read_file(moved / "model.safetensors");
  std::string others = weights;
  others.back() = static_cast<char>(others.back() ^ 1);
  write_file(moved / "model.safetensors", others);
  const Outcome changed = job.run({"--model", moved});
  EXPECT_EQ(changed.exit_code, 2) << changed.err;
  for (const char* const part : {"another job", "model.safetensors", "--restart"}) {
    EXPECT_NE(changed.err.find(part), std::string::npos) << changed.err;
  }
  write_file(moved / "model.safetensors", weights);
  const Outcome resumed = job.run({"--model", moved});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
