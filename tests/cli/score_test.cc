// `trireme score`.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

namespace trireme::testing {
namespace {

using Json = nlohmann::json;

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> rows;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) rows.push_back(Json::parse(line));
  return rows;
}

Words score_words(const std::string& input, const std::string& output = "-") {
  return {"score", "-m", llama(), "-i", input, "-o", output};
}

TEST(Score, EveryTokenAfterTheFirst) {
  const Outcome outcome = trireme(score_words("-"), "To be or not to be\nO Romeo\n");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<Json> rows = lines(outcome.out);
  ASSERT_EQ(rows.size(), 2u);
  for (const Json& row : rows) {
    EXPECT_EQ(row["logprobs"].size() + 1, row["token_ids"].size());
    double sum = 0;
    for (const double logprob : row["logprobs"]) {
      EXPECT_LT(logprob, 0);
      sum += logprob;
    }
    EXPECT_NEAR(row["sum"], sum, 1e-4);
  }
}

TEST(Score, IdsGiveWhatTheirTextGives) {
  const Outcome text = trireme(score_words("-"), "{\"text\":\"To be or not\"}\n");
  const Json ids = lines(text.out)[0]["token_ids"];
  const Outcome list = trireme(score_words("-") + Words{"--ids"}, ids.dump() + "\n");
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_EQ(list.out, text.out);
  const Outcome object =
      trireme(score_words("-") + Words{"--ids"}, "{\"token_ids\":" + ids.dump() + "}\n");
  EXPECT_EQ(object.out, text.out);
}

TEST(Score, ATemplateMakesTextsOfColumns) {
  const std::string csv = "question,answer\nTo be,or not\n";
  const Words words = score_words("-") + Words{"--input-format", "csv"};
  const Outcome filled = trireme(words + Words{"--prompt-template", "{question} {answer}"}, csv);
  EXPECT_EQ(filled.exit_code, 0) << filled.err;
  EXPECT_EQ(filled.out, trireme(score_words("-"), "To be or not\n").out);
  const Outcome without = trireme(words, csv);
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_NE(without.err.find("--prompt-template"), std::string::npos) << without.err;
}

TEST(Score, ABadRowStopsNobodyElse) {
  const Outcome outcome =
      trireme(score_words("-"),
              "{\"id\":\"a\",\"text\":\"x y\"}\n{oops\n{\"prompt\":\"z\"}\n{\"id\":[]}\n");
  EXPECT_EQ(outcome.exit_code, 3);
  const std::vector<Json> rows = lines(outcome.out);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0]["id"], "a");
  EXPECT_FALSE(rows[0].contains("error"));
  EXPECT_EQ(rows[1]["error"]["code"], "invalid_json");
  EXPECT_FALSE(rows[2].contains("error"));
  EXPECT_TRUE(rows[3].contains("error"));
}

TEST(Score, TheSameBytesUnderEveryPlanFromAFileAndFromAPipe) {
  const TemporaryFolder folder;
  const std::string input = in_tree("demo/prompts.jsonl");
  const auto bytes = [&](const Words& more, bool pipe) {
    const std::string out = folder / "out.jsonl";
    const std::string logits = folder / "logits.safetensors";
    const Outcome outcome =
        trireme(score_words(pipe ? "-" : input, out) + Words{"--logits", logits} + more,
                pipe ? read_file(input) : "");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return read_file(out) + read_file(logits);
  };
  const std::string expected = bytes({}, false);
  EXPECT_GT(expected.size(), 100000u);
  for (const Words& plan : {Words{"-tp", "2"},
                            {"-dp", "2", "-pp", "2"},
                            {"-tp", "3"},
                            {"-dp", "2", "--max-num-batched-tokens", "7"}}) {
    EXPECT_TRUE(bytes(plan, false) == expected) << plan[0];
    EXPECT_TRUE(bytes(plan, true) == expected) << plan[0] << " from a pipe";
  }
}

TEST(Score, MoreRowsThanOneCallTakes) {
  std::string input;
  for (int i = 0; i < 600; ++i) input += "[1, " + std::to_string(i % 1024) + "]\n";
  const Outcome outcome = trireme(score_words("-") + Words{"--ids", "-dp", "2"}, input);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<Json> rows = lines(outcome.out);
  ASSERT_EQ(rows.size(), 600u);
  for (int i = 0; i < 600; ++i) {
    EXPECT_EQ(rows[static_cast<std::size_t>(i)]["id"], i);
    EXPECT_EQ(rows[static_cast<std::size_t>(i)]["token_ids"][1], i % 1024);
  }
}

TEST(Score, UnusableFilesFailBeforeAnythingIsLoaded) {
  const TemporaryFolder folder;
  write_file(folder / "rows", "x\n");
  const auto code = [&](const std::string& in, const std::string& out, const Words& more = {}) {
    const Outcome outcome = trireme(score_words(in, out) + more);
    EXPECT_NE(outcome.err, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.exit_code;
  };
  EXPECT_EQ(code(folder / "missing", folder / "out"), 1);
  EXPECT_EQ(code(folder / "missing", folder / "out", {"-tp", "2"}), 1);
  EXPECT_EQ(code(folder.path(), folder / "out"), 1);
  EXPECT_EQ(code(folder / "rows", folder / "no/such/folder"), 1);
  EXPECT_EQ(code(folder / "rows", folder.path()), 1);
  EXPECT_EQ(code(folder / "rows", folder / "out", {"--logits", folder / "no/such"}), 1);
  EXPECT_EQ(code(folder / "rows", folder / "rows"), 2);
  EXPECT_EQ(code(folder / "rows", folder / "out", {"--logits", folder / "rows"}), 2);
  EXPECT_EQ(read_file(folder / "rows"), "x\n") << "the input is not replaced";
  EXPECT_EQ(code(folder / "rows", folder / "out", {"--logits", "/dev/null"}), 2);
  EXPECT_EQ(code(folder / "rows", folder / "out", {"--logits", folder / "out"}), 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

/// A model without a tokenizer fails when its rows are read: the file of logits must fail earlier.
TEST(Score, AnUnwritableFileOfLogitsFailsFirst) {
  const TemporaryFolder folder;
  write_file(folder / "rows", "x\n");
  std::filesystem::create_directory(folder / "model");
  for (const char* const name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(llama() + "/" + name, folder / "model" / name);
  }
  const Outcome outcome = trireme(
      {"score", "-m", folder / "model", "-i", folder / "rows", "--logits", "/proc/sys/no-such"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("/proc/sys/no-such"), std::string::npos) << outcome.err;
}

/// All that a stopped or failed run leaves is what was there before.
TEST(Score, NothingHalfWrittenStays) {
  const TemporaryFolder folder;
  std::string rows;
  for (int i = 0; i < 2000; ++i) rows += "To be or not to be, that is the question\n";
  write_file(folder / "rows", rows);
  const std::string command = trireme_program() + " score --isa reference -m " + llama() +
                              " -i rows -o out --logits logits";
  const std::string there = "cd " + folder.path().string() + "; ";
  run("sh", {"-c", there + "timeout -s INT 3 " + command});
  const Outcome full = run("sh", {"-c", there + "ulimit -f 1000; exec " + command});
  EXPECT_EQ(full.exit_code, 4) << full.err;
  EXPECT_NE(full.err.find("logits: cannot take"), std::string::npos) << full.err;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_EQ(entry.path().filename(), "rows");
  }
}

/// The logits of all rows together are far larger than what the program may take for them.
TEST(Score, LogitsNeedNotFitInMemory) {
  const TemporaryFolder folder;
  std::string ids = "[1";
  for (int i = 1; i < 1000; ++i) ids.append(",").append(std::to_string(i));
  std::string rows;
  for (int i = 0; i < 40; ++i) rows.append(ids).append("]\n");
  write_file(folder / "rows", rows);
  const auto megabytes_of = [&](const Words& more) {
    const Outcome outcome = trireme(score_words(folder / "rows", folder / "out") +
                                    Words{"--ids", "--max-num-seqs", "4"} + more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);  // the largest of all children
    return usage.ru_maxrss >> 10;
  };
  const auto without = megabytes_of({});
  const auto with = megabytes_of({"--logits", folder / "logits"});
  EXPECT_GT(std::filesystem::file_size(folder / "logits") >> 20, 150u);
  EXPECT_LT(with, without + 70);
}

TEST(Score, AFullDiskIsSaid) {
  const Outcome outcome = trireme(score_words("-", "/dev/full"), "x\n");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_NE(outcome.err.find("No space left"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
