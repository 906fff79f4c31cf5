// OpenAI's rows that fail stand in a file of their own, too; other rows' do not.
#include "batch/error_file.h"

#include "batch/ledger.h"
#include "batch/row_reply.h"
#include "support/run_program.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using testing::read_file;
using testing::write_file;

RowReply reply_of(std::uint64_t row, RowReply::Kind kind) {
  RowReply reply;
  reply.kind = kind;
  reply.index = row;
  reply.id = std::to_string(row);
  reply.custom_id = "\"r" + std::to_string(row) + "\"";
  return reply;
}

/// A job of four rows, of which those in `failed` fail. Its lines.
std::vector<std::string> finish_job(const std::string& path, RowReply::Kind kind,
                                    const std::set<std::uint64_t>& failed) {
  const auto output = open_output({.path = path, .job = "model=m", .overwrite = true});
  std::vector<std::string> lines;
  for (std::uint64_t row = 0; row < 4; ++row) {
    const RowReply reply = reply_of(row, kind);
    lines.push_back(failed.contains(row) ? encode_error(reply, {"bad", "wrong"})
                                         : encode_result(reply, {}));
    output->write({row, row + 1, "row"}, lines.back(), failed.contains(row));
  }
  output->finish(4);
  return lines;
}

TEST(ErrorFile, HoldsTheOpenAiRowsThatFailed) {
  const Scratch scratch;
  const std::string path = scratch.file("out.jsonl"), errors = scratch.file("out.errors.jsonl");
  const auto lines = finish_job(path, RowReply::Kind::openai_chat, {1, 3});
  EXPECT_EQ(read_file(path), lines[0] + "\n" + lines[1] + "\n" + lines[2] + "\n" + lines[3] + "\n");
  EXPECT_EQ(read_file(errors), lines[1] + "\n" + lines[3] + "\n");
  finish_job(path, RowReply::Kind::openai_chat, {});
  EXPECT_FALSE(std::filesystem::exists(errors)) << "it is no longer true";
}

TEST(ErrorFile, OfARowThatIsNotEvenJsonToo) {
  const Scratch scratch;
  const std::string path = scratch.file("out.jsonl");
  const auto output = open_output({.path = path, .job = "model=m"});
  const std::string good = encode_result(reply_of(0, RowReply::Kind::openai_completion), {});
  const std::string bad = encode_error(reply_of(1, RowReply::Kind::plain), {"bad", "wrong"});
  output->write({0, 1, "row"}, good, false);
  output->write({1, 2, "row"}, bad, true);
  output->finish(2);
  EXPECT_EQ(read_file(scratch.file("out.errors.jsonl")), bad + "\n");
}

TEST(ErrorFile, IsNotForOtherRows) {
  const Scratch scratch;
  finish_job(scratch.file("out.jsonl"), RowReply::Kind::plain, {1});
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(scratch.file(""))) {
    ++files;
  }
  EXPECT_EQ(files, 1u) << "the output alone";
}

TEST(ErrorFile, IsCalledAsTheOutputIs) {
  EXPECT_EQ(error_file_of("a/out.jsonl"), "a/out.errors.jsonl");
  EXPECT_EQ(error_file_of("out.csv.gz"), "out.errors.jsonl");
  EXPECT_EQ(error_file_of("shards"), "shards.errors.jsonl");
  EXPECT_EQ(error_file_of("v1.2"), "v1.2.errors.jsonl");
}

}  // namespace
}  // namespace trireme
