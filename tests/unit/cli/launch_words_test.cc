#include "cli/launch_words.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Words = std::vector<std::string>;

void expect(const Words& words, const Words& flags, const Words& program,
            const Words& behind = {}) {
  const LaunchWords split = split_launch_words(words);
  EXPECT_EQ(split.flags, flags);
  EXPECT_EQ(split.program, program);
  EXPECT_EQ(split.behind, behind);
}

TEST(LaunchWords, BeforeTheProgram) {
  expect({"-n", "4", "--", "prog", "-n", "5"}, {"-n", "4"}, {"prog", "-n", "5"});
  expect({"-n4", "--prefix", "prog", "--x"}, {"-n4", "--prefix"}, {"prog", "--x"});
  expect({"--num_processes=2", "prog"}, {"--num_processes=2"}, {"prog"});
  expect({"--mixed_precision", "bf16", "--num-processes", "2", "prog"},
         {"--mixed_precision", "bf16", "--num-processes", "2"}, {"prog"});
}

TEST(LaunchWords, BehindTheProgram) {
  expect({"prog", "--num_processes=2", "a"}, {"--num_processes=2"}, {"prog", "a"},
         {"--num_processes=2"});
  expect({"prog", "--num-processes", "2"}, {"--num-processes", "2"}, {"prog"},
         {"--num-processes", "2"});
  // The program's own.
  expect({"-n", "2", "prog", "-n", "3", "--prefix"}, {"-n", "2"}, {"prog", "-n", "3", "--prefix"});
  expect({"-n", "2", "prog", "--", "--num_processes=3"}, {"-n", "2"},
         {"prog", "--num_processes=3"});
  expect({"-n", "2", "--", "prog", "--num_processes=3", "--", "x"}, {"-n", "2"},
         {"prog", "--num_processes=3", "--", "x"});
}

TEST(LaunchWords, WithoutAProgram) {
  expect({}, {}, {});
  expect({"-n"}, {"-n"}, {});
  expect({"--help"}, {"--help"}, {});
  expect({"-n", "2", "--"}, {"-n", "2"}, {});
  expect({"-"}, {}, {"-"});
}

}  // namespace
}  // namespace trireme
