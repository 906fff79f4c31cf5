// Inputs cut into rows, however the bytes arrive.
#include "batch/row_reader.h"

#include <random>

#include "support/compressed_bytes.h"
#include "support/scratch.h"
#include "support/trickle.h"

namespace trireme {
namespace {

RowReader reader_of(const std::string& bytes, const std::string& name, ReaderOptions options = {},
                    std::size_t step = 1 << 20) {
  return RowReader(std::make_unique<Trickle>(bytes, name, step), std::move(options));
}

std::vector<RawRow> rows_of(RowReader reader) {
  std::vector<RawRow> rows;
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

std::vector<std::string> texts_of(const std::string& bytes, const std::string& name) {
  std::vector<std::string> first;
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{1 << 20}}) {
    std::vector<std::string> texts;
    for (const RawRow& row : rows_of(reader_of(bytes, name, {}, step))) texts.push_back(row.bytes);
    if (first.empty()) first = texts;
    EXPECT_EQ(texts, first) << "step " << step;
  }
  return first;
}

using Texts = std::vector<std::string>;

TEST(RowReader, JsonLines) {
  EXPECT_EQ(texts_of("{\"a\":1}\n\n  \r\n{\"b\":2}\r\n{\"c\":3}", "x.jsonl"),
            (Texts{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"}));
  EXPECT_EQ(texts_of("", "x.jsonl"), Texts{});
  EXPECT_EQ(texts_of("\n\n", "x.jsonl"), Texts{});
}

TEST(RowReader, TextKeepsBlankLines) {
  EXPECT_EQ(texts_of("one\n\ntwo\n", "x.txt"), (Texts{"one", "", "two"}));
  EXPECT_EQ(texts_of("one\r\ntwo", "x.txt"), (Texts{"one", "two"}));
  EXPECT_EQ(texts_of("\xef\xbb\xbfone\n", "x.txt"), (Texts{"one"}));
  EXPECT_EQ(texts_of("\xef\xbb\xbf", "x.txt"), Texts{});
}

TEST(RowReader, CsvRecordsSpanLines) {
  EXPECT_EQ(texts_of("\xef\xbb\xbfq,l\r\n\"a\r\nb\",c\r\n\r\nd,\"e\"\"\nf\"", "x.csv"),
            (Texts{"\"a\r\nb\",c", "d,\"e\"\"\nf\""}));
  RowReader reader = reader_of("q,\"l\nm\"\n1,2\n", "x.csv");
  EXPECT_EQ(reader.csv_header(), (Texts{"q", "l\nm"}));
  const auto row = reader.next();
  EXPECT_EQ(row->line, 3u);
  EXPECT_EQ(row->index, 0u);
  EXPECT_EQ(reader_of("a\tb\n", "x.tsv").delimiter(), '\t');
}

TEST(RowReader, WaitsForNoRowThatHasNotComeWhole) {
  std::string pipe = "{\"prompt\": \"one\"}\n{\"prompt\"";
  RowReader reader(std::make_unique<SlowPipe>(pipe), {.format = "jsonl"});
  ASSERT_TRUE(reader.ready());
  EXPECT_EQ(reader.next()->line, 1u);
  EXPECT_FALSE(reader.ready()) << "half a line";
  pipe = ": \"tw";
  EXPECT_FALSE(reader.ready()) << "some more of it";
  pipe = "o\"}\n\n \n";
  ASSERT_TRUE(reader.ready());
  EXPECT_EQ(reader.next()->bytes, "{\"prompt\": \"two\"}");
  EXPECT_FALSE(reader.ready()) << "blank lines are no rows";
  pipe = "{}\n";
  ASSERT_TRUE(reader.ready());
  EXPECT_EQ(reader.next()->line, 5u);
}

TEST(RowReader, WaitsForNoCsvRecordWhoseQuotesAreOpen) {
  std::string pipe = "name,prompt\n1,\"to be\n";
  RowReader reader(std::make_unique<SlowPipe>(pipe), {.format = "csv"});
  EXPECT_FALSE(reader.ready());
  pipe = "or not\"\n2,x\n3,";
  ASSERT_TRUE(reader.ready());
  EXPECT_EQ(reader.next()->bytes, "1,\"to be\nor not\"");
  ASSERT_TRUE(reader.ready());
  EXPECT_EQ(reader.next()->bytes, "2,x");
  EXPECT_FALSE(reader.ready());
}

TEST(RowReader, CountsRowsAndLines) {
  const auto rows = rows_of(reader_of("{}\n\n{}\n", "x.jsonl"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].index, 1u);
  EXPECT_EQ(rows[1].line, 3u);
  RowReader reader = reader_of("{}\n\n{}\n", "x.jsonl");
  while (reader.next()) {
  }
  EXPECT_EQ(reader.bytes_read(), 7u);
}

TEST(RowReader, GuessesTheFormat) {
  const auto format = [](const std::string& bytes, const std::string& name) {
    return reader_of(bytes, name).format();
  };
  EXPECT_EQ(format("hello", "standard input"), RowFormat::text);
  EXPECT_EQ(format(" \n{\"prompt\": 1}", "standard input"), RowFormat::jsonl);
  EXPECT_EQ(format("{ }", "rows"), RowFormat::jsonl);
  EXPECT_EQ(format("{name}, come here", "rows"), RowFormat::text);
  EXPECT_EQ(format("[INST] hi", "rows"), RowFormat::text);
  EXPECT_EQ(format("hello", "ROWS.JSONL"), RowFormat::jsonl);
  EXPECT_EQ(format("{\"a\":1}", "dir.csv/rows.txt"), RowFormat::text);
  EXPECT_EQ(format("x", "dir.csv/rows"), RowFormat::text);
  EXPECT_EQ(format("", "rows"), RowFormat::text);
  EXPECT_EQ(reader_of("[1, 2]", "rows", {.token_ids = true}).format(), RowFormat::jsonl);
  EXPECT_EQ(reader_of("{\"a\":1}", "rows.csv", {.format = "text"}).format(), RowFormat::text);
}

TEST(RowReader, RefusesWhatHoldsNoRows) {
  const auto message = [](const std::string& bytes, const std::string& name) {
    return message_of(ErrorKind::input, [&] { reader_of(bytes, name); });
  };
  expect_contains(message(gzip_of(zstd_of("{}")), "x.jsonl.gz"), "compressed twice");
  expect_contains(message("BZh91AY&SY", "x.jsonl"), "bzcat");
  expect_contains(message("PAR1....", "x.parquet"), "Parquet");
  expect_contains(message(std::string("\xff\xfe"
                                      "a\0",
                                      4),
                          "x.txt"),
                  "iconv");
  expect_contains(message("[\n{}]", "x.json"), "jq -c");
  expect_contains(message("", "x.csv"), "no header line");
  expect_contains(message("a,\"b\n1,2", "x.csv"), "quotes do not close");
  expect_contains(message("a,b,a\n", "x.csv"), "two columns are called \"a\"");
  expect_contains(message_of(ErrorKind::usage, [] { reader_of("", "x", {.format = "xml"}); }),
                  "--input-format xml");
  expect_contains(message_of(ErrorKind::input, [] { open_bytes("/no/such/file"); }),
                  "/no/such/file");
  expect_contains(message_of(ErrorKind::input, [] { open_bytes("/tmp"); }), "directory");
}

/// Bytes of which a format's grammar is made, in any order.
std::string any_text(std::mt19937& random, std::size_t size) {
  constexpr std::string_view letters = "ab,\t\"\"\r\n\n {}[]:\\\xef\xbb\xbf\xc3\xa9";
  std::string text = "q,r\n";  // a header, perhaps
  while (text.size() < size) text += letters[random() % letters.size()];
  return text;
}

TEST(RowReader, TheRowsAreTheSameInWhateverPiecesTheirBytesArrive) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::string text = any_text(random, 5 + random() % 400);
    const std::string formats[] = {"jsonl", "text", "csv", "tsv"};
    const ReaderOptions options{.format = formats[round % 4], .max_row_bytes = 30};
    const auto read = [&](const std::string& bytes, std::size_t step) {
      std::vector<std::uint64_t> rows;
      for (const RawRow& row : rows_of(reader_of(bytes, "x", options, step))) {
        rows.insert(rows.end(), {row.hash(), row.line, row.index});
      }
      return rows;
    };
    const auto whole = read(text, text.size());
    for (const std::size_t step : {1u, 2u, 3u, 7u, 50u}) {
      ASSERT_EQ(read(text, step), whole) << text;
      ASSERT_EQ(read(gzip_of(text), step), whole) << text;
      ASSERT_EQ(read(zstd_of(text), step), whole) << text;
    }
  }
}

TEST(RowReader, LongRowsBecomeErrorsAndTheRestGoesOn) {
  const auto rows = rows_of(reader_of("{\"a\":\"" + std::string(5000, 'x') + "\"}\n{}\n", "x.jsonl",
                                      {.max_row_bytes = 100}, 7));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].defect, RowDefect::too_long);
  EXPECT_TRUE(rows[0].bytes.empty());
  EXPECT_EQ(rows[1].bytes, "{}");
}

TEST(RowReader, AnOpenQuoteSwallowsOnlyTheRest) {
  const auto rows = rows_of(reader_of("a,b\n1,2\n3,\"4\n5,6\n", "x.csv"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].defect, RowDefect::unterminated_quote);
  EXPECT_EQ(rows[1].line, 3u);
}

TEST(RowReader, RowsLongerThanTheBuffer) {
  const std::string big(3 << 20, 'y');
  const auto rows = rows_of(RowReader(bytes_in_memory("a\n" + big + "\nb", "x.txt"), {}));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1].bytes, big);
  EXPECT_EQ(rows[2].bytes, "b");
}

}  // namespace
}  // namespace trireme
