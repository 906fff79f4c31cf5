// Rows from compressed files, folders and patterns, answers in every form: as a user runs it.
#include <gtest/gtest.h>

#include <set>

#include "program.h"
#include "support/compressed_bytes.h"

namespace trireme::testing {
namespace {

namespace fs = std::filesystem;

/// Twelve rows in four files, and what a plain run answers.
class Formats : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_ / "in");
    std::string all, part;
    for (int row = 0; row < 12; ++row) {
      const std::string line = "{\"id\": " + std::to_string(row) + ", \"prompt\": \"Row " +
                               std::to_string(row) + "\", \"weight\": " + std::to_string(row) +
                               ".50, \"text\": \"a, b\"}\n";
      all += line;
      part += line;
      if (row % 3 == 2) {
        const std::string name = "in/part" + std::to_string(row / 3) + ".jsonl";
        if (row == 2) write_file(folder_ / (name + ".gz"), gzip_of(part));
        if (row == 5) write_file(folder_ / (name + ".zst"), zstd_of(part));
        if (row > 5) write_file(folder_ / name, part);
        part.clear();
      }
    }
    write_file(folder_ / "in/_SUCCESS", "");
    write_file(folder_ / "all.jsonl", all);
    EXPECT_EQ(batch({"-i", file("all.jsonl"), "-o", file("plain.jsonl")}).exit_code, 0);
  }

  static Outcome batch(const Words& words, const std::string& input = {}) {
    return trireme(Words{"batch", "-m", llama(), "-n", "4"} + words, input);
  }
  std::string file(const std::string& name) const { return folder_ / name; }
  std::string read(const std::string& name) const { return read_file(folder_ / name); }

  TemporaryFolder folder_;
};

TEST_F(Formats, ManyFilesAreOneInput) {
  const std::string plain = read("plain.jsonl");
  const Words inputs[] = {
      {file("in")},
      {file("in/*")},
      {file("in/part0.jsonl.gz"), file("in/part1.jsonl.zst"), file("in/part[23].jsonl")}};
  for (const Words& names : inputs) {
    const Outcome outcome = batch(Words{"-o", file("out.jsonl"), "--overwrite", "-i"} + names);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(read("out.jsonl"), plain);
  }
  EXPECT_EQ(batch({"-i", "-", "-o", "-"}, gzip_of(read("all.jsonl"))).out, plain);
  const Outcome none = batch({"-i", file("in/*.csv"), "-o", file("x.jsonl")});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.err.find("no file is called like this"), std::string::npos) << none.err;
}

TEST_F(Formats, ACutOffFileIsToldWithItsPlace) {
  const std::string packed = gzip_of(read("all.jsonl"));
  write_file(folder_ / "cut.jsonl.gz", packed.substr(0, packed.size() - 9));
  const Outcome outcome = batch({"-i", file("cut.jsonl.gz"), "-o", file("out.jsonl")});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("cut.jsonl.gz: the gzip data is cut short"), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(folder_ / "out.jsonl"));
}

TEST_F(Formats, EveryFormIsTheSameUnderEveryPlan) {
  for (const std::string name : {"o.csv.gz", "o.tsv", "o.txt", "o.jsonl.zst"}) {
    const Words words{"-i", file("in"), "-o", file(name)};
    EXPECT_EQ(batch(words).exit_code, 0);
    const std::string first = read(name);
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(batch(words + Words{"--overwrite", "-dp", "2"}).exit_code, 0);
    EXPECT_TRUE(read(name) == first) << name;
  }
  const std::string table = batch({"-i", file("in"), "-o", "-", "--output-format", "tsv"}).out;
  EXPECT_EQ(table, read("o.tsv"));
  EXPECT_EQ(table.substr(0, table.find('\n')),
            "id\ttext\tprompt_tokens\tcompletion_tokens\tfinish_reason\terror_code\terror_message");
}

TEST_F(Formats, ShardsAreAFolderThatIsAnInput) {
  const Words words{"-i", file("in"), "-o", file("out"), "--shards", "5"};
  EXPECT_EQ(batch(words).exit_code, 0);
  std::set<std::string> names;
  std::string all;
  for (const auto& entry : fs::directory_iterator(folder_ / "out"))
    names.insert(entry.path().filename());
  for (const std::string& name : names) all += read("out/" + name);
  EXPECT_EQ(names.size(), 6u);
  EXPECT_TRUE(names.contains("_SUCCESS") && names.contains("part-00004-of-00005.jsonl"));
  EXPECT_EQ(all, read("plain.jsonl"));
  EXPECT_EQ(batch(words).exit_code, 2) << "it exists";
  EXPECT_EQ(batch({"-i", file("out"), "-o", "-", "--prompt-template", "{text}"}).exit_code, 0);
  const Outcome itself = batch({"-i", file("out"), "-o", file("out"), "--shards", "2",
                                "--overwrite", "--prompt-template", "{text}"});
  EXPECT_EQ(itself.exit_code, 2);
  EXPECT_NE(itself.err.find("is in this folder, which would be replaced"), std::string::npos);
}

TEST_F(Formats, ColumnsGoWithTheirRows) {
  const std::string kept = batch({"-i", file("in"), "-o", "-", "--keep-columns"}).out;
  EXPECT_EQ(kept.substr(0, kept.find("\"id\"")),
            R"({"prompt":"Row 0","weight":0.50,"input_text":"a, b",)");
  const std::string table = batch({"-i", file("in"), "-o", "-", "--keep-columns", "weight,text",
                                   "--output-format", "csv"})
                                .out;
  EXPECT_TRUE(table.starts_with("weight,input_text,id,")) << table;
  EXPECT_NE(table.find("\n0.50,\"a, b\",0,"), std::string::npos) << table;
  EXPECT_EQ(batch({"-i", file("in"), "-o", file("x.csv"), "--keep-columns"}).exit_code, 2);
  EXPECT_EQ(batch({"-i", file("in"), "-o", file("x.txt"), "--keep-columns", "weight"}).exit_code,
            2);
}

TEST_F(Formats, ParquetWithoutItsPluginSaysHowToGetIt) {
  // Nothing lies beside a copy of the program.
  fs::copy_file(trireme_program(), folder_ / "trireme");
  write_file(folder_ / "x.parquet", "PAR1");
  for (const Words& files : {Words{"-i", file("x.parquet"), "-o", file("y.jsonl")},
                             Words{"-i", file("in"), "-o", file("y.parquet")}}) {
    const Outcome outcome = run(file("trireme"), Words{"batch", "-m", llama()} + files);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("make parquet"), std::string::npos) << outcome.err;
  }
}

TEST_F(Formats, ParquetThereAndBackAgain) {
  if (!fs::exists(fs::path(trireme_program()).parent_path() / "libtrireme_parquet.so")) {
    GTEST_SKIP() << "SKIP: no Parquet plug-in (make parquet)";
  }
  const Words words{"-i", file("in"), "-o", file("o.parquet"), "--keep-columns", "prompt,weight"};
  EXPECT_EQ(batch(words).exit_code, 0);
  const std::string first = read("o.parquet");
  EXPECT_EQ(batch(words + Words{"--overwrite", "-dp", "2"}).exit_code, 0);
  EXPECT_TRUE(read("o.parquet") == first);
  EXPECT_EQ(batch({"-i", file("o.parquet"), "-o", file("back.jsonl")}).exit_code, 0);
  EXPECT_EQ(batch({"-i", file("o.parquet"), "-o", file("s"), "--shards", "3", "--output-format",
                   "parquet"})
                .exit_code,
            0);
  EXPECT_EQ(batch({"-i", file("s"), "-o", "-", "--prompt-template", "{text}"}).exit_code, 0);
  // The id is a string of its own now, and else nothing has changed.
  std::string plain = read("plain.jsonl");
  for (int row = 0; row < 12; ++row) {
    const std::string id = std::to_string(row);
    const std::size_t at = plain.find("{\"id\":" + id + ",");
    ASSERT_NE(at, plain.npos);
    plain.replace(at, 6 + id.size(), "{\"id\":\"" + id + "\"");
  }
  EXPECT_EQ(read("back.jsonl"), plain);
}

}  // namespace
}  // namespace trireme::testing
