// A hundred thousand rows of which one in a hundred is wrong, in all the ways that rows are: each
// answered in its place, the right ones as if the others were not there.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>

#include "fault/campaign.h"
#include "fault/job.h"

namespace trireme::testing {
namespace {

struct Wrong {
  std::string bytes;
  std::string code;
};

/// What a wrong row may look like; `row`: its number.
Wrong wrong_row(unsigned kind, int row) {
  const std::string id = "\"id\": \"row-" + std::to_string(row) + "\"";
  switch (kind % 8) {
    case 0:
      return {"{" + id + ", \"prompt\": \"never clos", "invalid_json"};
    case 1:
      return {"{" + id + ", \"prompt\": \"\xff\xc3\"}", "invalid_utf8"};
    case 2:
      return {"{" + id + ", \"prompt\": {\"a\": 1}}", "invalid_field"};
    case 3:
      return {"{" + id + ", \"prompt\": \"a\", \"temperature\": \"hot\"}", "invalid_field"};
    case 4:
      return {"{" + id + ", \"prompt\": \"a\", \"temprature\": 1}", "unknown_field"};
    case 5:
      return {"{\"id\": \"row-0\", \"prompt\": \"a\"}", "duplicate_id"};
    case 6:
      return {"[1, 2]", "invalid_row"};
    default:
      return {"{" + id + "}", "missing_field"};
  }
}

std::string code_of(const std::string& line) {
  simdjson::dom::parser parser;
  std::string_view code;
  if (parser.parse(line)["error"]["code"].get(code) != simdjson::SUCCESS) return "";
  return std::string(code);
}

TEST(ManyRows, OneInAHundredIsWrong) {
  const int count = static_cast<int>(campaign(3000, 100000));
  Job job(count, {"--max-num-batched-tokens", "2048"});
  job.set_verb({"batch", "--max-new-tokens", "1"});
  const Words good = lines_of(job.expected());
  std::map<int, Wrong> wrong;
  std::mt19937 random(11);
  for (unsigned kind = 0; wrong.size() < static_cast<std::size_t>(count) / 100; ++kind) {
    const int row = 1 + static_cast<int>(random() % static_cast<unsigned>(count - 1));
    wrong.try_emplace(row, wrong_row(kind, row));
  }
  Words rows = lines_of(rows_of(count));
  std::string text;
  for (int row = 0; row < count; ++row) {
    const auto found = wrong.find(row);
    text +=
        (found == wrong.end() ? rows[static_cast<std::size_t>(row)] : found->second.bytes) + "\n";
  }
  write_file(job.input(), text);

  const auto running = job.start({"-dp", "2"});
  ASSERT_TRUE(job.await_growth(*running, job.expected().size() / 3));
  send_signal(running->pid(), SIGKILL);
  running->wait();
  const Outcome outcome = job.run({"-dp", "2"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  const Words answers = lines_of(job.written());
  ASSERT_EQ(answers.size(), static_cast<std::size_t>(count));
  for (int row = 0; row < count; ++row) {
    const std::string& answer = answers[static_cast<std::size_t>(row)];
    const auto found = wrong.find(row);
    if (found == wrong.end()) {
      ASSERT_EQ(answer, good[static_cast<std::size_t>(row)]);
    } else {
      ASSERT_EQ(code_of(answer), found->second.code) << answer;
      ASSERT_NE(answer.find("line " + std::to_string(row + 1)), std::string::npos) << answer;
    }
  }
}

/// Of two, one is wrong to the reader, one to the engine alone.
TEST(ManyRows, StrictEndsTheJobAndKeepsNoErrorRow) {
  Job job(60);
  const Words good = lines_of(job.expected());
  Words rows = lines_of(rows_of(60));
  rows[50] = R"({"id": "row-050", "prompt": [1, 99999999]})";
  const auto write = [&] {
    std::string text;
    for (const std::string& row : rows) text += row + "\n";
    write_file(job.input(), text);
  };
  write();
  const Outcome strict = job.run({"--strict"});
  EXPECT_EQ(strict.exit_code, 1) << strict.err;
  EXPECT_NE(strict.err.find("line 51: token id 99999999"), std::string::npos) << strict.err;
  EXPECT_EQ(strict.err.find(" failed,"), std::string::npos) << "none is kept: " << strict.err;
  const Outcome mild = job.run({});
  EXPECT_EQ(mild.exit_code, 3) << mild.err;
  const Words answers = lines_of(job.written());
  ASSERT_EQ(answers.size(), good.size());
  EXPECT_EQ(answers[49], good[49]);
  EXPECT_NE(answers[50].find("line 51: "), std::string::npos) << answers[50];

  job.forget_output();
  rows[50] = "not JSON";
  write();
  const Outcome early = job.run({"--strict"});
  EXPECT_EQ(early.exit_code, 1) << early.err;
  EXPECT_NE(early.err.find("line 51: "), std::string::npos) << early.err;
  EXPECT_EQ(early.err.find("same command"), std::string::npos) << "nothing was done: " << early.err;
}

}  // namespace
}  // namespace trireme::testing
