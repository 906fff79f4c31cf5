// A folder of shards: all of it at once, or nothing.
#include "batch/sharded_output.h"

#include <algorithm>
#include <set>

#include "batch/ledger.h"
#include "support/scratch.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

std::string line(std::uint64_t row) { return fmt::format("{{\"id\":{}}}", row); }

OutputOptions options_of(const Scratch& scratch, std::uint32_t shards) {
  OutputOptions options{.path = scratch.file("out"), .job = "model=x\n"};
  options.form.format.shards = shards;
  return options;
}

/// Rows are answered last first.
void run(const OutputOptions& options, std::uint64_t rows) {
  const auto output = open_output(options);
  for (std::uint64_t row = rows; row-- > 0;) output->write({row, row + 1, "r"}, line(row), false);
  output->finish(rows);
}

TEST(ShardedOutput, RangesOfNearEqualLength) {
  for (const std::uint64_t rows : {0u, 1u, 3u, 4u, 10u, 11u}) {
    const Scratch scratch;
    run(options_of(scratch, 4), rows);
    EXPECT_EQ(names_in(scratch.path()), std::set<std::string>{"out"});
    EXPECT_EQ(
        names_in(scratch.path() / "out"),
        (std::set<std::string>{"_SUCCESS", "part-00000-of-00004.jsonl", "part-00001-of-00004.jsonl",
                               "part-00002-of-00004.jsonl", "part-00003-of-00004.jsonl"}));
    std::string all;
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      const std::string text = scratch.read("out/" + shard_name(shard, {.shards = 4}));
      const auto count = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
      EXPECT_TRUE(count == rows / 4 || count == rows / 4 + 1) << rows;
      all += text;
    }
    std::string expected;
    for (std::uint64_t row = 0; row < rows; ++row) expected += line(row) + "\n";
    EXPECT_EQ(all, expected);
  }
}

TEST(ShardedOutput, EveryShardIsWholeOfItsFormat) {
  const Scratch scratch;
  OutputOptions options = options_of(scratch, 2);
  options.form.format.rows = OutputFormat::Rows::csv;
  options.form.columns = {{"id"}};
  run(options, 3);
  EXPECT_EQ(scratch.read("out/part-00000-of-00002.csv"), "id\n0\n1\n");
  EXPECT_EQ(scratch.read("out/part-00001-of-00002.csv"), "id\n2\n");
}

TEST(ShardedOutput, WhatIsThereIsReplacedOnlyWhenAskedFor) {
  const Scratch scratch;
  OutputOptions options = options_of(scratch, 2);
  run(options, 5);
  const auto refused = [&] { return message_of(ErrorKind::usage, [&] { open_output(options); }); };
  expect_contains(refused(), "it exists; replace it with --overwrite");
  options.overwrite = true;
  options.form.format.shards = 1;
  run(options, 5);
  EXPECT_EQ(names_in(scratch.path() / "out"),
            (std::set<std::string>{"_SUCCESS", "part-00000-of-00001.jsonl"}));
  scratch.write("out/thesis.tex", "years of work");
  expect_contains(refused(), "other files than shards (thesis.tex)");
  EXPECT_EQ(scratch.read("out/thesis.tex"), "years of work");
  options.path = scratch.write("file", "x");
  expect_contains(refused(), "this is a file, and --shards makes a folder");
}

TEST(ShardedOutput, ThatIsNotCommittedIsRemovedAndOneLeftBehindReplaced) {
  const Scratch scratch;
  FinalOutputOptions options{.path = scratch.path() / "out", .total_rows = 2};
  options.form.format.shards = 2;
  scratch.write("out.partial/part-00000-of-00009.jsonl", "of a run that was killed");
  { open_final_output(options)->add(line(0), false); }
  EXPECT_TRUE(names_in(scratch.path()).empty());
  scratch.write("out.partial/part-00000-of-00009.jsonl", "of a run that was killed");
  for (int time = 0; time < 2; ++time) {  // as when the journal could not be removed any more
    const auto output = open_final_output(options);
    output->add(line(0), false);
    output->add(line(1), false);
    output->commit();
  }
  EXPECT_EQ(names_in(scratch.path() / "out").size(), 3u);
}

}  // namespace
}  // namespace trireme
