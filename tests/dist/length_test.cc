// Promise 1, where the KV cache is small: which rows are too long is --max-model-len's to say. A
// plan whose cache cannot hold one such row is refused before it starts; every other answers it
// with the same bytes.
#include <gtest/gtest.h>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;

constexpr int no_room = 4;  // not enough resources
constexpr int some_rows_failed = 3;

/// The model in demo/llama with contexts of 512 tokens, 16 cache blocks of 48 KiB: 768 KiB on a
/// rank that holds it whole, or the K/V heads of both (the middle one of -tp 3), 384 KiB on half of
/// it. Rows: one just below the limit when its answer has been cut there, one above, a short one.
class LengthLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text = "{\"prompt\": \"" + letters(490) + "\", \"max_new_tokens\": 100}\n";
    text += "{\"prompt\": \"" + letters(600) + "\", \"max_new_tokens\": 5}\n";
    text += "{\"prompt\": \"To be\", \"max_new_tokens\": 5, \"ignore_eos\": true}\n";
    write_file(folder_ / "rows.jsonl", text);
    write_file(folder_ / "texts.jsonl", "{\"text\": \"" + letters(500) + "\"}\n");
  }

  /// As many tokens: no two of them are one word of the tokenizer.
  static std::string letters(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "0123456789"[i % 7 + i % 3];
    return text;
  }

  static std::string model() { return std::string(TRIREME_SOURCE_DIR) + "/demo/llama"; }
  std::string file(const std::string& name) const { return folder_ / name; }

  Outcome batch(const Words& flags) const {
    std::filesystem::remove(file("out.jsonl"));
    Words words{"batch", "-i", file("rows.jsonl"), "-o", file("out.jsonl")};
    words.insert(words.end(), flags.begin(), flags.end());
    return start(words);
  }

  /// Words may begin with a launcher and its own, up to "--".
  static Outcome start(const Words& verb, const Words& launcher = {}) {
    Words words = launcher;
    words.push_back(trireme_program());
    words.insert(words.end(), verb.begin(), verb.end());
    for (const char* word : {"--model", "", "--max-model-len", "512", "--threads", "1"}) {
      words.push_back(*word == '\0' ? model() : word);
    }
    return run(words.front(), {words.begin() + 1, words.end()},
               {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}});
  }

  static void expect_refusal(const Outcome& outcome, const std::string& what) {
    EXPECT_EQ(outcome.exit_code, no_room) << what << outcome.err;
    EXPECT_NE(outcome.err.find("--kv-cache-memory"), std::string::npos) << what << outcome.err;
    EXPECT_NE(outcome.err.find("--max-model-len"), std::string::npos) << what << outcome.err;
  }

  TemporaryFolder folder_;
};

TEST_F(LengthLimit, IsTheSameUnderEveryPlanOrThePlanIsRefused) {
  const Outcome outcome = batch({});
  ASSERT_EQ(outcome.exit_code, some_rows_failed) << outcome.err;
  const std::string expected = read_file(file("out.jsonl"));
  ASSERT_NE(expected.find("context_length_exceeded"), std::string::npos) << expected;
  ASSERT_NE(expected.find("\"length\""), std::string::npos) << expected;

  const std::vector<std::pair<Words, bool>> plans{
      {{"-tp", "1"}, false}, {{"-dp", "2"}, false}, {{"-tp", "3"}, false},
      {{"-tp", "2"}, true},  {{"-pp", "2"}, true},  {{"-dp", "2", "-pp", "2"}, true}};
  for (const auto& [plan, half] : plans) {
    for (const auto& [cache, enough] : std::vector<std::pair<std::string, bool>>{
             {"100K", false}, {"400K", half}, {"800K", true}}) {
      Words flags = plan;
      flags.insert(flags.end(), {"--kv-cache-memory", cache});
      const std::string what = plan[0] + " " + plan[1] + " with " + cache + ": ";
      const Outcome small = batch(flags);
      if (enough) {
        EXPECT_EQ(small.exit_code, some_rows_failed) << what << small.err;
        EXPECT_EQ(read_file(file("out.jsonl")), expected) << what;
      } else {
        expect_refusal(small, what);
        EXPECT_FALSE(std::filesystem::exists(file("out.jsonl"))) << what;
      }
    }
  }
}

TEST_F(LengthLimit, EveryVerbRefusesAtTheStart) {
  const Words small{"--kv-cache-memory", "300K"};
  const auto refused = [&](Words words, const Words& launcher = {}) {
    words.insert(words.end(), small.begin(), small.end());
    expect_refusal(start(words, launcher), words.front() + ": ");
  };
  refused({"plan", "--no-speed"});
  refused({"run", "To be"});
  refused({"run", "-tp", "2", "To be"});
  refused({"score", "-i", file("texts.jsonl")});
  refused({"bench", "--prompt-tokens", "400", "--new-tokens", "10"});
  const Words batch{"batch", "-i", file("rows.jsonl"), "-o", file("out.jsonl"), "-tp", "2"};
  refused(batch, {trireme_program(), "launch", "-n", "2", "--"});
  if (run("sh", {"-c", "command -v mpirun"}).exit_code == 0) {
    refused(batch, {"mpirun", "--oversubscribe", "-n", "2"});
  }
}

TEST_F(LengthLimit, WhatARefusalNamesIsAccepted) {
  Words flags{"--kv-cache-memory", "768K"};
  EXPECT_EQ(batch(flags).exit_code, some_rows_failed);
  flags.back() = "767K";
  const Outcome outcome = batch(flags);
  expect_refusal(outcome, "");
  EXPECT_NE(outcome.err.find("--kv-cache-memory 768K"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("--max-model-len 480"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
