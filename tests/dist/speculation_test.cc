// Speculative decoding changes no byte: whole runs of the program with drafts and without, compared
// under several plans. The prompts repeat themselves, and so do the answers of the small model.
#include <gtest/gtest.h>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

class Speculation : public ::testing::Test {
 protected:
  void SetUp() override { write_file(folder_ / "rows.jsonl", rows()); }

  /// Greedy, sampled, penalised; answers that end by length, by a stop string, and by the context.
  static std::string rows() {
    const std::string line = "ROMEO: I am, I am, I am the night, the night, the night.\\n";
    std::string text;
    for (int row = 0; row < 12; ++row) {
      std::string prompt;
      for (int i = 0; i <= row % 4; ++i) prompt += line;
      text += "{\"prompt\": \"" + prompt + "\", \"ignore_eos\": true, \"max_new_tokens\": " +
              std::to_string(row == 7 ? 1000 : 20 + 9 * row);
      if (row % 3 == 1) text += ", \"temperature\": 0.4, \"top_p\": 0.9, \"seed\": 5";
      if (row % 3 == 2) text += ", \"temperature\": 0.7, \"repetition_penalty\": 1.05";
      if (row % 3 == 0) text += ", \"temperature\": 0";
      if (row % 4 == 3) text += ", \"stop\": [\"the \", \"I a\"]";
      text += "}\n";
    }
    // Greedy with a penalty chooses from all logits, too.
    return text + "{\"prompt\": \"" + line + line +
           "\", \"temperature\": 0, \"repetition_penalty\": 1.1, \"max_new_tokens\": 90}\n";
  }

  std::string output(const Words& flags) {
    const std::string out = folder_ / "out.jsonl";
    std::filesystem::remove(out);
    Words words{"batch",
                "--model",
                std::string(TRIREME_SOURCE_DIR) + "/demo/llama",
                "-i",
                folder_ / "rows.jsonl",
                "-o",
                out,
                "--stats",
                "--max-model-len",
                "256",
                "--threads",
                "1"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = run(trireme_program(), words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    said_ = outcome.err;
    return read_file(out);
  }

  /// The sum over the ranks of a number that the last run's --stats gave.
  std::int64_t stat(const std::string& key) const {
    const std::string quoted = "\"" + key + "\": ";
    std::int64_t sum = 0;
    for (std::size_t at = said_.find(quoted); at != std::string::npos;
         at = said_.find(quoted, at + 1)) {
      sum += std::stoll(said_.substr(at + quoted.size(), 20));
    }
    return sum;
  }

  TemporaryFolder folder_;
  std::string said_;
};

TEST_F(Speculation, OutputsAreTheSameUnderEveryPlan) {
  const std::string expected = output({"--max-num-seqs", "4"});
  ASSERT_NE(expected.find("\"stop\""), std::string::npos) << expected;
  EXPECT_EQ(stat("drafted_tokens"), 0);
  const std::int64_t generated = stat("generated_tokens");
  for (const Words& plan : std::vector<Words>{{"--max-num-seqs", "1"},
                                              {"--max-num-seqs", "4"},
                                              {"--prompt-lookup-min", "1"},
                                              {"--max-num-batched-tokens", "9"},
                                              {"--kv-cache-memory", "800K"},
                                              {"-tp", "2"},
                                              {"-tp", "3", "--max-num-seqs", "4"},
                                              {"-pp", "2", "--max-num-seqs", "4"},
                                              {"-pp", "3"},
                                              {"-dp", "2", "-pp", "2"},
                                              {"-tp", "2", "-pp", "2", "--kv-cache-memory", "400K"},
                                              {"-dp", "2", "-tp", "2", "--max-num-seqs", "2"}}) {
    Words flags{"--num-speculative-tokens", "6"};
    flags.insert(flags.end(), plan.begin(), plan.end());
    std::string name;
    for (const std::string& word : plan) name += word + " ";
    EXPECT_TRUE(output(flags) == expected) << name;
    EXPECT_GT(stat("accepted_tokens"), 0) << name << said_;
    EXPECT_EQ(stat("generated_tokens"), generated) << name;
    if (plan[0] == "--kv-cache-memory") {
      EXPECT_GT(stat("preemptions"), 0) << said_;
    }
  }
}

TEST_F(Speculation, AcceptedDraftsSaveSteps) {
  // The small model soon says the same lines again.
  write_file(folder_ / "rows.jsonl",
             "{\"prompt\": \"KING: no no no no no no no no\", \"temperature\": 0, "
             "\"ignore_eos\": true, \"max_new_tokens\": 220}\n");
  const std::string expected = output({});
  EXPECT_EQ(stat("steps"), 220) << said_;
  EXPECT_EQ(output({"--num-speculative-tokens", "6"}), expected);
  EXPECT_EQ(stat("steps"), 220 - stat("accepted_tokens")) << said_;
  EXPECT_GT(stat("accepted_tokens"), 40) << said_;
  EXPECT_LE(stat("accepted_tokens"), stat("drafted_tokens"));
}

TEST_F(Speculation, FlagsThatMakeNoSenseAreRefused) {
  for (const Words& flags : std::vector<Words>{{"--num-speculative-tokens", "-1"},
                                               {"--num-speculative-tokens", "1000000"},
                                               {"--prompt-lookup-min", "5"},
                                               {"--prompt-lookup-max", "100"}}) {
    Words words{"batch",
                "--model",
                std::string(TRIREME_SOURCE_DIR) + "/demo/llama",
                "-i",
                folder_ / "rows.jsonl",
                "-o",
                folder_ / "out.jsonl"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = run(trireme_program(), words);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(flags[0]), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace trireme::testing
