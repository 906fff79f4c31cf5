// Which files an input is, and rows that are numbered through over them.
#include "batch/input_files.h"

#include "batch/row_codec.h"
#include "batch/row_reader.h"
#include "support/compressed_bytes.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using Names = std::vector<std::string>;

Names names_of(const Scratch& scratch, const Names& inputs) {
  Names whole, names;
  for (const std::string& input : inputs) whole.push_back(scratch.file(input));
  for (const InputFile& file : resolve_inputs(whole)) {
    names.push_back(std::filesystem::relative(file.path, scratch.path()).string());
  }
  return names;
}

TEST(InputFiles, FoldersAndPatternsInTheOrderOfTheirBytes) {
  const Scratch scratch;
  for (const char* name :
       {"d/b.jsonl", "d/B.jsonl", "d/a10.jsonl", "d/a9.jsonl.gz", "d/x.jsonl.zst", "d/.c.jsonl",
        "d/_d.jsonl", "d/_SUCCESS", "d/notes.md", "d/sub/e.jsonl"}) {
    scratch.write(name, "{}\n");
  }
  scratch.write("d/empty.jsonl", "");
  const Names all{"d/B.jsonl", "d/a10.jsonl", "d/a9.jsonl.gz", "d/b.jsonl", "d/x.jsonl.zst"};
  EXPECT_EQ(names_of(scratch, {"d"}), all);
  EXPECT_EQ(names_of(scratch, {"d/"}), all);
  EXPECT_EQ(names_of(scratch, {"d/[ab]*.jsonl*"}),
            (Names{"d/a10.jsonl", "d/a9.jsonl.gz", "d/b.jsonl"}));
  EXPECT_EQ(names_of(scratch, {"d/s*"}), (Names{"d/sub/e.jsonl"})) << "a folder that is like it";
  EXPECT_EQ(names_of(scratch, {"d/x.jsonl.zst", "d/b.jsonl", "d/b.jsonl"}),
            (Names{"d/x.jsonl.zst", "d/b.jsonl", "d/b.jsonl"}))
      << "as they are given";
  EXPECT_EQ(names_of(scratch, {"d/empty.jsonl"}), (Names{"d/empty.jsonl"}));
  EXPECT_EQ(resolve_inputs({scratch.file("d/b.jsonl")})[0].bytes, 3u);
  EXPECT_EQ(resolve_inputs({"-"})[0].bytes, std::nullopt);
}

TEST(InputFiles, AFileMayBeCalledLikeAPattern) {
  const Scratch scratch;
  scratch.write("a[1].jsonl", "{}\n");
  scratch.write("a1.jsonl", "{}\n");
  EXPECT_EQ(names_of(scratch, {"a[1].jsonl"}), (Names{"a[1].jsonl"}));
}

TEST(InputFiles, WhatStandsForNothing) {
  const Scratch scratch;
  scratch.write("d/readme.md", "x");
  const auto failure = [&](const std::string& input) {
    return message_of(ErrorKind::input, [&] { resolve_inputs({scratch.file(input)}); });
  };
  expect_contains(failure("d"), "no file of rows in this folder");
  expect_contains(failure("e*.jsonl"), "e*.jsonl: no file is called like this");
  expect_contains(message_of(ErrorKind::usage, [] { resolve_inputs({"-", "-"}); }), "only once");
  EXPECT_EQ(resolve_inputs({scratch.file("none.jsonl")}).size(), 1u) << "opening says more";
}

RowReader reader_of(const Scratch& scratch, const Names& inputs, ReaderOptions options = {}) {
  Names whole;
  for (const std::string& input : inputs) whole.push_back(scratch.file(input));
  return RowReader(resolve_inputs(whole), options);
}

TEST(InputFiles, RowsAreNumberedThroughAndKnowTheirPlace) {
  const Scratch scratch;
  scratch.write("a.jsonl", "{\"prompt\":\"1\"}\n\n{\"prompt\":\"2\"}");
  scratch.write("b.jsonl.gz", gzip_of("\n{\"prompt\":\"3\"}\n"));
  scratch.write("c.jsonl", "\n");
  scratch.write("d.jsonl", "{\"prompt\":4}\n");
  RowReader reader = reader_of(scratch, {"a.jsonl", "b.jsonl.gz", "c.jsonl", "d.jsonl"});
  Names seen;
  std::string last;
  RowCodec codec({});
  while (reader.ready()) {
    const auto row = reader.next();
    if (!row) break;
    seen.push_back(fmt::format("{} {} {}", row->index,
                               std::filesystem::path(row->file).filename().string(), row->line));
    const DecodedRow decoded = codec.decode(*row);
    last = decoded.error ? decoded.error->message : "";
  }
  EXPECT_EQ(seen, (Names{"0 a.jsonl 1", "1 a.jsonl 3", "2 b.jsonl.gz 2", "3 d.jsonl 1"}));
  expect_contains(last, scratch.file("d.jsonl") + ", line 1: field \"prompt\"");
  EXPECT_EQ(reader.bytes_read(), 30u + 16u + 1u + 13u);
  EXPECT_TRUE(reader_of(scratch, {"a.jsonl"}).next()->file.empty()) << "one needs no name";
}

TEST(InputFiles, OneFormatAndOneHeader) {
  const Scratch scratch;
  scratch.write("a.csv", "id,prompt\n1,x\n");
  scratch.write("b.csv", "id,prompt\n2,y\n");
  scratch.write("c.csv", "id,text\n3,z\n");
  scratch.write("d.tsv", "id\tprompt\n3\tz\n");
  scratch.write("e.jsonl", "{}\n");
  const auto failure = [&](const Names& inputs) {
    return message_of(ErrorKind::input, [&] { reader_of(scratch, inputs); });
  };
  RowReader both = reader_of(scratch, {"a.csv", "b.csv"});
  EXPECT_EQ(both.next()->bytes, "1,x");
  EXPECT_EQ(both.next()->bytes, "2,y");
  EXPECT_FALSE(both.next());
  const std::string columns = failure({"a.csv", "b.csv", "c.csv"});
  expect_contains(columns, "a.csv (\"id\", \"prompt\") and of " + scratch.file("c.csv"));
  expect_contains(failure({"a.csv", "d.tsv"}), "d.tsv holds TSV");
  expect_contains(failure({"e.jsonl", "a.csv"}), "e.jsonl holds JSON Lines, but ");
  EXPECT_EQ(reader_of(scratch, {"e.jsonl", "a.csv"}, {.format = "text"}).format(), RowFormat::text);
}

TEST(InputFiles, AFileThatChangesMeanwhileIsNoticed) {
  const Scratch scratch;
  scratch.write("a.csv", "p\n1\n");
  scratch.write("b.csv", "p\n2\n");
  RowReader reader = reader_of(scratch, {"a.csv", "b.csv"});
  scratch.write("b.csv", "q\n2\n");
  EXPECT_TRUE(reader.next());
  expect_contains(message_of(ErrorKind::input, [&] { reader.next(); }), "differ");
}

}  // namespace
}  // namespace trireme
