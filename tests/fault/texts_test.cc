// kill -9 while whole texts are read or labels chosen: vectors, labels, masks and answers of an
// encoder-decoder come out as in a run that nothing disturbs.
#include <gtest/gtest.h>
#include <signal.h>

#include <random>

#include "fault/job.h"

namespace trireme::testing {
namespace {

/// A job of a verb with a made-up model, large enough that rows end one after the other.
class TextJob : public Job {
 public:
  explicit TextJob(const std::string& verb)
      : Job(0, {"--load-format", "dummy", "--max-num-seqs", "2"}) {
    const std::filesystem::path model = file("model");
    std::filesystem::create_directory(model);
    const bool answers = verb == "translate" || verb == "choose";
    const std::string data = std::string(TRIREME_SOURCE_DIR) + "/tests/data/texts/";
    std::filesystem::copy(data + (answers ? "t5" : "classify") + "/tokenizer.json",
                          model / "tokenizer.json");
    write_file(model / "config.json", answers ? t5() : bert(verb));
    if (verb == "choose") {
      set_verb({"batch", "--model", model, "--choices", choices});
    } else {
      set_verb({verb, "--model", model});
    }
    write_file(input(), rows());
  }

  static constexpr const char* choices = "winter,summer,winter of war,the sun,the summer sun";

 private:
  static std::string bert(const std::string& verb) {
    const std::string architecture = verb == "embed"      ? "BertModel"
                                     : verb == "classify" ? "BertForSequenceClassification"
                                                          : "BertForMaskedLM";
    return R"({"architectures": [")" + architecture + R"("], "model_type": "bert",
               "vocab_size": 320, "hidden_size": 256, "num_attention_heads": 4,
               "intermediate_size": 768, "num_hidden_layers": 4, "type_vocab_size": 2,
               "max_position_embeddings": 128})";
  }

  static std::string t5() {
    return R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5",
               "vocab_size": 320, "d_model": 128, "d_kv": 32, "num_heads": 4, "d_ff": 256,
               "num_layers": 2, "num_decoder_layers": 2, "relative_attention_num_buckets": 32,
               "relative_attention_max_distance": 128, "decoder_start_token_id": 0,
               "eos_token_id": 1})";
  }

  static std::string rows() {
    const std::string words = "Now is the winter of our discontent made glorious summer ";
    std::string text;
    for (int row = 0; row < 400; ++row) {
      text += R"({"id": ")" + std::to_string(row) + R"(", "text": ")" +
              words.substr(static_cast<std::size_t>(row) % 50) +
              "[MASK]\", \"max_new_tokens\": 12}\n";
    }
    return text;
  }
};

class KillTexts : public ::testing::TestWithParam<std::string> {};

TEST_P(KillTexts, ARankThatDiesIsReplaced) {
  TextJob job(GetParam());
  const std::uintmax_t share = job.expected().size() / 8;
  for (const Words& plan : {Words{"-dp", "2"}, Words{"-tp", "2"}, Words{"-pp", "2"}}) {
    job.forget_output();
    std::mt19937 random(7);
    const auto running = job.start(plan);
    for (int i = 0; i < 2; ++i) {
      if (!job.await_growth(*running, share)) break;
      const std::vector<Running::Rank> ranks = running->ranks();
      ASSERT_FALSE(ranks.empty());
      send_signal(ranks[random() % ranks.size()].pid, SIGKILL);
    }
    const Outcome outcome = running->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("was killed by signal 9"), std::string::npos) << outcome.err;
    EXPECT_TRUE(job.written() == job.expected()) << plan[0];
    EXPECT_TRUE(running->nothing_left());
  }
}

TEST_P(KillTexts, AJobThatWasKilledGoesOn) {
  TextJob job(GetParam());
  const std::uintmax_t share = job.expected().size() / 6;
  for (const Words& plan : {Words{}, Words{"-dp", "2"}, Words{"-tp", "2"}}) {
    const auto running = job.start(plan);
    ASSERT_TRUE(job.await_growth(*running, share)) << running->wait().err;
    send_signal(running->pid(), SIGKILL);
    EXPECT_EQ(running->wait().exit_code, 128 + SIGKILL);
    EXPECT_TRUE(running->nothing_left());
  }
  const Outcome last = job.run({"-pp", "2"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_NE(last.err.find("rows are done already"), std::string::npos) << last.err;
  EXPECT_TRUE(job.complete());
  EXPECT_TRUE(job.written() == job.expected());
}

TEST(ChoicesResume, NotWithOtherLabels) {
  TextJob job("choose");
  const std::uintmax_t share = job.expected().size() / 6;
  const auto running = job.start({});
  ASSERT_TRUE(job.await_growth(*running, share)) << running->wait().err;
  send_signal(running->pid(), SIGKILL);
  EXPECT_EQ(running->wait().exit_code, 128 + SIGKILL);
  job.set_verb({"batch", "--model", job.file("model"), "--choices", "winter,summer"});
  const Outcome other = job.run({});
  EXPECT_EQ(other.exit_code, 2) << other.err;
  EXPECT_NE(other.err.find("choices"), std::string::npos) << other.err;
  job.set_verb({"batch", "--model", job.file("model"), "--choices", TextJob::choices});
  EXPECT_EQ(job.run({}).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Verbs, KillTexts,
                         ::testing::Values("embed", "classify", "fill-mask", "translate", "choose"),
                         [](const auto& param) {
                           return param.param == "fill-mask" ? "fill_mask" : param.param;
                         });

}  // namespace
}  // namespace trireme::testing
