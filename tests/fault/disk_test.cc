// A full disk, a place that cannot be written, an output that must not be: told with the documented
// exit code, and nothing that was finished is lost.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

class FullDisk : public ::testing::TestWithParam<Words> {};

/// No file of the running program may grow beyond what the journal has now, and a little.
void limit_files(pid_t pid, std::uintmax_t bytes) {
  const rlimit limit{bytes, RLIM_INFINITY};
  ASSERT_EQ(prlimit(pid, RLIMIT_FSIZE, &limit, nullptr), 0);
}

TEST_P(FullDisk, EndsTheRunAndLosesNothing) {
  Job job(150);
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, some));
  limit_files(running->pid(), job.journal_bytes() + 700);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  for (const char* const part : {"cannot write", "out.jsonl.trireme-journal", "are safe"}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  }
  EXPECT_TRUE(running->nothing_left());
  EXPECT_GT(job.journal_bytes(), some);

  const Outcome resumed = job.run(GetParam());
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  EXPECT_TRUE(job.written() == job.expected());
}

INSTANTIATE_TEST_SUITE_P(Plans, FullDisk,
                         ::testing::Values(Words{}, Words{"-dp", "2"}, Words{"-tp", "2"}));

TEST(FullDiskAtTheEnd, AStreamSaysWhatIsLost) {
  Job job(3);
  job.set_output("/dev/full");
  const Outcome outcome = job.run({});
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("/dev/full: cannot write"), std::string::npos) << outcome.err;
}

/// Refused before the model is loaded: with a checkpoint that cannot be read, its error would come.
TEST(Output, APlaceThatCannotBeWrittenIsRefusedFirst) {
  Job job(3);
  job.set_output(job.file("absent") / "out.jsonl");
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    const Outcome outcome = job.run(plan);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("absent/out.jsonl"), std::string::npos) << outcome.err;
  }
  job.set_output("/proc/out.jsonl");  // even for root
  const Outcome outcome = job.run({});
  EXPECT_TRUE(outcome.exit_code == 2 || outcome.exit_code == 4) << outcome.err;
  EXPECT_NE(outcome.err.find("/proc/out.jsonl"), std::string::npos) << outcome.err;
}

TEST(Output, ThatExistsIsKeptUnlessToldOtherwise) {
  Job job(3);
  write_file(job.output(), "precious\n");
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    const Outcome outcome = job.run(plan);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("--overwrite"), std::string::npos) << outcome.err;
    EXPECT_EQ(job.written(), "precious\n");
  }
  EXPECT_EQ(job.run({"-dp", "2", "--overwrite"}).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

TEST(Output, OfAnotherUnfinishedJobIsKept) {
  Job job(150);
  const auto running = job.start({});
  ASSERT_TRUE(job.await_growth(*running, 1000));
  send_signal(running->pid(), SIGSTOP);  // or it might end before the next is refused
  const Outcome meanwhile = job.run({});
  EXPECT_EQ(meanwhile.exit_code, 2) << meanwhile.err;
  EXPECT_NE(meanwhile.err.find("another run is writing"), std::string::npos) << meanwhile.err;
  send_signal(running->pid(), SIGKILL);
  running->wait();

  const Outcome other = job.run({"--temperature", "0.5"});
  EXPECT_EQ(other.exit_code, 2) << other.err;
  for (const char* const part :
       {"another job", "temperature=0.5 here, temperature=default in the unfinished run",
        "--restart"}) {
    EXPECT_NE(other.err.find(part), std::string::npos) << other.err;
  }
  const std::string input = read_file(job.input());
  write_file(job.input(), input + "{\"prompt\": \"one more\"}\n");
  const Outcome longer = job.run({});
  EXPECT_EQ(longer.exit_code, 2) << longer.err;
  EXPECT_NE(longer.err.find("input="), std::string::npos) << longer.err;
  write_file(job.input(), input);
  EXPECT_EQ(job.run({"-tp", "2"}).exit_code, 0) << "the plan is free to change";
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
