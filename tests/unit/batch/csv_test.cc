// Fields of CSV records as RFC 4180 has them.
#include "batch/csv.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Fields = std::vector<std::string>;

TEST(Csv, ReadsFields) {
  EXPECT_EQ(parse_csv_record("a,b,c", ','), (Fields{"a", "b", "c"}));
  EXPECT_EQ(parse_csv_record("", ','), (Fields{""}));
  EXPECT_EQ(parse_csv_record(",", ','), (Fields{"", ""}));
  EXPECT_EQ(parse_csv_record("a,", ','), (Fields{"a", ""}));
  EXPECT_EQ(parse_csv_record("\"a,b\",\"c\"\"d\"", ','), (Fields{"a,b", "c\"d"}));
  EXPECT_EQ(parse_csv_record("\"\",\"\"\"\"", ','), (Fields{"", "\""}));
  EXPECT_EQ(parse_csv_record("\"a\r\nb\",c", ','), (Fields{"a\r\nb", "c"}));
  EXPECT_EQ(parse_csv_record("a\"b,c", ','), (Fields{"a\"b", "c"}));
  EXPECT_EQ(parse_csv_record(" \"a\",b", ','), (Fields{" \"a\"", "b"}));
  EXPECT_EQ(parse_csv_record("a\tb,c", '\t'), (Fields{"a", "b,c"}));
}

TEST(Csv, RefusesBrokenQuotes) {
  EXPECT_FALSE(parse_csv_record("\"a", ','));
  EXPECT_FALSE(parse_csv_record("\"a\"b,c", ','));
  EXPECT_FALSE(parse_csv_record("a,\"", ','));
}

TEST(Csv, ScannerAgreesWithParser) {
  // Every string over an alphabet that matters: the record is whole exactly when quotes are closed.
  const std::string alphabet = "a,\"";
  for (int code = 0; code < 3 * 3 * 3 * 3 * 3 * 3 * 3; ++code) {
    std::string text;
    for (int rest = code; rest > 0; rest /= 3) text += alphabet[static_cast<std::size_t>(rest % 3)];
    CsvScanner scanner(',');
    for (const char c : text) scanner.feed(c);
    EXPECT_FALSE(scanner.in_quotes() && parse_csv_record(text, ',')) << text;
  }
}

}  // namespace
}  // namespace trireme
