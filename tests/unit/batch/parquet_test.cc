// Parquet out and in again, where the plug-in is there.
#include "batch/parquet.h"

#include "batch/row_reader.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using Type = RowColumnType;

class Parquet : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_parquet()) GTEST_SKIP() << "SKIP: no Parquet plug-in (make parquet)";
  }
};

class StringSink : public ByteSink {
 public:
  void write(std::string_view bytes) override {
    if (text.size() + bytes.size() > limit) fail(ErrorKind::resource, "the disk is full");
    text.append(bytes);
  }
  std::string text;
  std::size_t limit = std::size_t{1} << 30;
};

const std::vector<RowColumn> every_type{{"t"},
                                        {"b", Type::boolean},
                                        {"i", Type::integer},
                                        {"u", Type::unsigned_integer},
                                        {"f", Type::real32},
                                        {"d", Type::real64},
                                        {"is", Type::integers},
                                        {"fs", Type::reals32},
                                        {"ds", Type::reals64}};

const std::vector<std::string> three_lines{
    R"({"t":"a\n\"é","b":true,"i":-9223372036854775808,"u":18446744073709551615,"f":0.1,"d":1e-300,"is":[1,-2],"fs":[0.1,null],"ds":[1e+300]})",
    R"({"t":"","b":false,"i":0,"u":0,"f":-2e-20,"d":0.1,"is":[],"fs":[],"ds":[null,0.5]})",
    R"({"t":null,"b":null,"i":null,"u":null,"f":null,"d":null,"is":null,"fs":null,"ds":null})"};

void write_lines(const std::vector<RowColumn>& columns, const std::vector<std::string>& lines,
                 ByteSink& sink) {
  RowForm form{{.rows = OutputFormat::Rows::parquet}, columns};
  const auto writer = open_row_writer(form, sink);
  for (const std::string& line : lines) writer->add(line);
  writer->finish();
}

RowReader reader_of(const std::string& path) { return RowReader(resolve_inputs({path}), {}); }

TEST_F(Parquet, EveryTypeComesBackAsItWas) {
  const Scratch scratch;
  StringSink sink;
  write_lines(every_type, three_lines, sink);
  RowReader reader = reader_of(scratch.write("x.parquet", sink.text));
  EXPECT_EQ(reader.columns(), every_type);
  EXPECT_EQ(reader.format(), RowFormat::jsonl);
  for (const std::string& line : three_lines) EXPECT_EQ(reader.next()->bytes, line);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader_of(scratch.write("no_name", sink.text)).next()->bytes, three_lines[0]);
}

TEST_F(Parquet, TheSameRowsAreTheSameBytes) {
  StringSink one, two;
  write_lines(every_type, three_lines, one);
  write_lines(every_type, three_lines, two);
  EXPECT_EQ(one.text, two.text);
}

TEST_F(Parquet, GroupsOfRowsFollowOneAnother) {
  const Scratch scratch;
  StringSink sink;
  std::vector<std::string> lines;
  for (int i = 0; i < 250'000; ++i) lines.push_back(fmt::format("{{\"i\":{}}}", i));
  write_lines({{"i", Type::integer}}, lines, sink);
  RowReader reader = reader_of(scratch.write("x.parquet", sink.text));
  for (const std::string& line : lines) ASSERT_EQ(reader.next()->bytes, line);
  EXPECT_FALSE(reader.next());
  StringSink none;
  write_lines({{"i", Type::integer}}, {}, none);
  EXPECT_FALSE(reader_of(scratch.write("none.parquet", none.text)).next());
}

TEST_F(Parquet, FilesOfOneInputHaveTheSameColumns) {
  const Scratch scratch;
  StringSink integers, reals;
  write_lines({{"x", Type::integer}}, {R"({"x":1})"}, integers);
  write_lines({{"x", Type::real64}}, {R"({"x":1})"}, reals);
  scratch.write("a.parquet", integers.text);
  scratch.write("b.parquet", integers.text);
  RowReader both(resolve_inputs({scratch.path()}), {});
  EXPECT_TRUE(both.next() && both.next() && !both.next());
  scratch.write("c.parquet", reals.text);
  expect_contains(message_of(ErrorKind::input, [&] { reader_of(scratch.path()); }),
                  "(\"x\" integer) and of " + scratch.file("c.parquet") + " (\"x\" double) differ");
  std::filesystem::remove(scratch.file("c.parquet"));
  scratch.write("d.jsonl", "{}");
  expect_contains(message_of(ErrorKind::input, [&] { reader_of(scratch.path()); }),
                  "a.parquet holds Parquet, but " + scratch.file("d.jsonl") + " holds JSON Lines");
}

TEST_F(Parquet, DamageIsAnErrorThatNamesTheFile) {
  const Scratch scratch;
  StringSink sink;
  write_lines(every_type, three_lines, sink);
  for (std::size_t size = 0; size < sink.text.size(); size += 7) {
    const std::string path = scratch.write("x.parquet", sink.text.substr(0, size));
    expect_contains(message_of(ErrorKind::input, [&] { reader_of(path); }), path);
  }
  for (std::size_t at = 0; at < sink.text.size(); ++at) {
    std::string bytes = sink.text;
    bytes[at] ^= 0x55;
    try {
      RowReader reader = reader_of(scratch.write("x.parquet", bytes));
      while (reader.next()) {
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << at << error.what();
    }
  }
}

TEST_F(Parquet, AFullDiskIsToldAsTheSinkTellsIt) {
  for (const std::size_t limit : {std::size_t{0}, std::size_t{100}, std::size_t{800}}) {
    StringSink sink;
    sink.limit = limit;
    EXPECT_EQ(message_of(ErrorKind::resource, [&] { write_lines(every_type, three_lines, sink); }),
              "the disk is full");
  }
}

TEST_F(Parquet, IsNoPipe) {
  StringSink sink;
  write_lines(every_type, three_lines, sink);
  expect_contains(
      message_of(ErrorKind::input, [&] { RowReader(bytes_in_memory(sink.text, "pipe"), {}); }),
      "read from its end");
  expect_contains(
      message_of(ErrorKind::usage,
                 [] { RowReader(resolve_inputs({"/dev/null"}), {.format = "parquet"}); }),
      "read from its end");
}

TEST(ParquetPlugin, IsAskedForByNameWhereItIsMissing) {
  if (has_parquet()) GTEST_SKIP() << "SKIP: the Parquet plug-in is there";
  const Scratch scratch;
  const std::string path = scratch.write("x.parquet", "PAR1");
  expect_contains(message_of(ErrorKind::usage, [&] { reader_of(path); }), "make parquet");
  RowForm form{{.rows = OutputFormat::Rows::parquet}, every_type};
  expect_contains(message_of(ErrorKind::usage, [&] { check_form(form); }), "make parquet");
}

}  // namespace
}  // namespace trireme
