// What happens around a verb's ranks: Ctrl-C, a dead rank, a reader that goes away, launch.
#include <gtest/gtest.h>

#include "program.h"

namespace trireme::testing {
namespace {

Outcome shell(const std::string& script) {
  return run("sh", {"-c", script}, {{"T", trireme_program()}, {"M", llama()}});
}

/// Long enough to be interrupted on any machine.
constexpr const char* long_run =
    "$T run -m $M hello --ignore-eos -n 1000 --isa reference --max-num-seqs 1 ";

/// Has the long run under way in the background as $p, writing, does `then`, and waits for its end:
/// a run that has been given so many seconds may not have begun on a machine that is busy.
Outcome once_it_writes(const std::string& plan, const std::string& then) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  // A shell's background process ignores SIGINT unless told otherwise.
  return shell("O=" + out + "; : > $O\nenv --default-signal=INT " + long_run + plan +
               " > $O & p=$!\n"
               "for i in $(seq 600); do [ $(wc -c < $O) -gt 10 ] && break; sleep 0.1; done\n" +
               then + "\nwait $p; code=$?; cat $O; exit $code");
}

TEST(Interrupt, EndsARunPolitely) {
  const Outcome outcome = once_it_writes("", "kill -INT $p");
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_GT(outcome.out.size(), 10u) << "what was generated is there";
  EXPECT_EQ(outcome.out.back(), '\n');
}

TEST(Interrupt, ReachesAllRanks) {
  const Outcome outcome = once_it_writes("-tp 2 -pp 2", "kill -TERM $p");
  EXPECT_EQ(outcome.exit_code, 143) << outcome.err;
  EXPECT_EQ(outcome.err, "");
}

TEST(DeadRank, EndsTheRunWithAMessage) {
  const Outcome outcome = once_it_writes("-tp 2 -pp 2",
                                         "set -- $(cat /proc/$p/task/$p/children)\n"
                                         "kill -9 $2");
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("killed by signal 9"), std::string::npos) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

TEST(GoneReader, IsNoCrash) {
  for (const char* plan : {"", "-tp 2"}) {
    const Outcome outcome =
        shell(std::string("(") + long_run + plan + "; echo $? >&2) | head -c 5");
    EXPECT_EQ(outcome.err, "1\n");
  }
}

TEST(FullDisk, IsSaid) {
  const Outcome outcome = shell("$T run -m $M hello -n 5 > /dev/full");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_NE(outcome.err.find("No space left"), std::string::npos) << outcome.err;
}

TEST(Launch, StartsRanksAndReturnsTheirCode) {
  const Outcome good = trireme({"launch", "-n", "3", "--prefix", "--", "sh", "-c",
                                "echo $TRIREME_RANK of $TRIREME_WORLD_SIZE"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  for (const char* line : {"[rank 0] 0 of 3\n", "[rank 1] 1 of 3\n", "[rank 2] 2 of 3\n"}) {
    EXPECT_NE(good.out.find(line), std::string::npos) << good.out;
  }
  EXPECT_EQ(trireme({"launch", "-n", "2", "--", "sh", "-c", "exit 7"}).exit_code, 7);
  EXPECT_EQ(trireme({"launch", "-n", "2", "--", "/no/such/program"}).exit_code, 1);
  EXPECT_EQ(trireme({"launch", "-n", "2"}).exit_code, 2);
  EXPECT_EQ(trireme({"launch", "--", "true"}).exit_code, 2);
}

TEST(Launch, OfTheProgramItselfIsAPlan) {
  const Words words{"run", "-m", llama(), "-n", "8", "--temperature", "0", "ROMEO:"};
  const Words launched =
      Words{"launch", "-n", "2", "--", trireme_program()} + words + Words{"-tp", "2"};
  const Outcome outcome = trireme(launched);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, trireme(words).out);
}

TEST(Launch, MustMatchThePlan) {
  const Outcome outcome = trireme(Words{"launch", "-n", "2", "--", trireme_program()} +
                                  Words{"run", "-m", llama(), "-n", "8", "ROMEO:"});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
