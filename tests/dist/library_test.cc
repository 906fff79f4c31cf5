// A program written on the public headers runs on one rank and on several, with the same text.
#include <gtest/gtest.h>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

const std::string example = std::string(TRIREME_BINARY_DIR) + "/library_example";
const std::string model = std::string(TRIREME_SOURCE_DIR) + "/demo/llama";

TEST(Library, TheSameProgramOnOneRankAndOnThree) {
  const Outcome alone = run(example, {model});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_TRUE(alone.out.ends_with("\n---\n")) << alone.out;
  EXPECT_NE(alone.out.find("\n---\n"), alone.out.rfind("\n---\n")) << "two answers";
  const Outcome launched = run(trireme_program(), {"launch", "-n", "3", "--", example, model, "3"});
  EXPECT_EQ(launched.exit_code, 0) << launched.err;
  EXPECT_EQ(launched.out, alone.out);
}

TEST(Library, APlanThatIsNotTheNumberOfRanksIsRefused) {
  const Outcome outcome = run(trireme_program(), {"launch", "-n", "2", "--", example, model, "3"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("2 are running"), std::string::npos) << outcome.err;
}

/// The documentation shows the very program that was just run.
TEST(Library, TheDocumentedProgramIsThisOne) {
  const std::string source =
      read_file(std::string(TRIREME_SOURCE_DIR) + "/tests/dist/library_example.cc");
  const std::string page = read_file(std::string(TRIREME_SOURCE_DIR) + "/docs/library.md");
  const std::string body = source.substr(source.find("#include"));
  EXPECT_NE(page.find(body), std::string::npos);
}

}  // namespace
}  // namespace trireme::testing
