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

/// With a pipeline, what is cancelled is in flight in one of its stages.
TEST(Library, CancelledRequestsHaveNoResultsAndDisturbNobody) {
  const std::string worker = std::string(TRIREME_BINARY_DIR) + "/cancel_worker";
  const Outcome alone = run(worker, {model, "1"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  for (const char* const part : {"0: ", "\n1: ", "\n2: ", "\n4: ", "\n6: ", "\n1 scores\n"}) {
    EXPECT_NE(("\n" + alone.out).find(part), std::string::npos) << part << alone.out;
  }
  EXPECT_EQ(alone.out.find("cannot"), std::string::npos) << alone.out;
  EXPECT_EQ(alone.out.find("\n3: "), std::string::npos) << alone.out;
  for (const char* const stages : {"2", "3"}) {
    const Outcome piped =
        run(trireme_program(), {"launch", "-n", stages, "--", worker, model, stages});
    EXPECT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_EQ(piped.out, alone.out);
  }
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
