// JSON strings that any reader of lines accepts.
#include "batch/json_text.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(JsonText, EscapesWhatMustBe) {
  EXPECT_EQ(json_string("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
  EXPECT_EQ(json_string(std::string_view("\0\x01\x1f\x7f", 4)), R"("\u0000\u0001\u001f\u007f")");
  EXPECT_EQ(json_string("\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"),
            "\"\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80\"");
  EXPECT_EQ(json_string("\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"), R"("\u0085\u2028\u2029")");
}

TEST(JsonText, ReplacesWhatIsNotUtf8) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(json_string("a\xff"
                        "b"),
            "\"a" + replacement + "b\"");
  EXPECT_EQ(json_string("\xc3"), "\"" + replacement + "\"");                    // cut short
  EXPECT_EQ(json_string("\xc0\x80"), "\"" + replacement + replacement + "\"");  // overlong
  for (const char* bad : {"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80"}) {
    EXPECT_TRUE(is_valid_utf8(json_string(bad))) << bad;
    EXPECT_NE(json_string(bad).find(replacement), std::string::npos);
  }
  EXPECT_EQ(json_string("\xee\x80\x80\xf4\x8f\xbf\xbf"), "\"\xee\x80\x80\xf4\x8f\xbf\xbf\"");
}

TEST(JsonText, AlwaysValidUtf8) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const char text[] = {static_cast<char>(a), static_cast<char>(b), 'x'};
      const std::string json = json_string({text, 3});
      ASSERT_TRUE(is_valid_utf8(json));
      ASSERT_EQ(json.substr(json.size() - 2), "x\"");
    }
  }
}

}  // namespace
}  // namespace trireme
