// Templates, right and wrong.
#include "batch/prompt_template.h"

#include "support/scratch.h"

namespace trireme {
namespace {

std::string shown(std::string_view text) {
  std::string out;
  const PromptTemplate parsed(text);
  for (const auto& piece : parsed.pieces()) {
    out += piece.is_column ? "<" + piece.text + ">" : piece.text;
  }
  return out;
}

TEST(PromptTemplate, FindsColumns) {
  EXPECT_EQ(shown("Classify {question} as one of {labels}"),
            "Classify <question> as one of <labels>");
  EXPECT_EQ(shown("{a}{b}"), "<a><b>");
  EXPECT_EQ(shown("{{{a}}}"), "{<a>}");
  EXPECT_EQ(shown("{{a}} }}{{"), "{a} }{");
  EXPECT_EQ(shown("{two words}"), "<two words>");
  EXPECT_EQ(shown(""), "");
}

TEST(PromptTemplate, RefusesLoneBraces) {
  for (const char* bad : {"{", "a}", "{}", "{a", "{a{b}", "x } y", "{{}"}) {
    SCOPED_TRACE(bad);
    const std::string message = message_of(ErrorKind::usage, [&] { PromptTemplate{bad}; });
    expect_contains(message, "--prompt-template");
    expect_contains(message, "at character");
  }
}

}  // namespace
}  // namespace trireme
