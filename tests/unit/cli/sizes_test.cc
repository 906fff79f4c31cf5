#include "cli/sizes.h"

#include <gtest/gtest.h>

#include "trireme/error.h"

namespace trireme {
namespace {

constexpr std::int64_t mebi = 1 << 20;

TEST(ParseBytes, UnitsOf1024AndOf1000) {
  EXPECT_EQ(parse_bytes("1", "-x"), 1);
  EXPECT_EQ(parse_bytes("536870912", "-x"), 536870912);
  EXPECT_EQ(parse_bytes("512M", "-x"), 512 * mebi);
  EXPECT_EQ(parse_bytes("512m", "-x"), 512 * mebi);
  EXPECT_EQ(parse_bytes("512MiB", "-x"), 512 * mebi);
  EXPECT_EQ(parse_bytes("1.5 GiB", "-x"), 1536 * mebi);
  EXPECT_EQ(parse_bytes("4GB", "-x"), 4000000000);
  EXPECT_EQ(parse_bytes("2k", "-x"), 2048);
  EXPECT_EQ(parse_bytes("1T", "-x"), std::int64_t{1} << 40);
}

TEST(ParseBytes, RefusesAnythingElseNamingTheFlag) {
  for (const char* text : {"", "x", "0", "-1", "1Q", "1MM", "nan", "inf", "1e30", "0.1", "G"}) {
    try {
      parse_bytes(text, "--kv-cache-memory");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find("--kv-cache-memory"), std::string::npos);
    }
  }
}

TEST(Format, BytesCountsAndTimes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(mebi - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(1536 * mebi), "1.5 GiB");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(12345), "12.3 k");
  EXPECT_EQ(format_count(999.96e3), "1.0 M");
  EXPECT_EQ(format_count(1.24e9), "1.24 B");
  EXPECT_EQ(format_seconds(0.84), "0.8 s");
  EXPECT_EQ(format_seconds(45), "45 s");
  EXPECT_EQ(format_seconds(200), "3 min 20 s");
  EXPECT_EQ(format_seconds(7500), "2 h 5 min");
}

}  // namespace
}  // namespace trireme
