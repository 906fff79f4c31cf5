#include "launch/process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "core/error.h"

namespace trireme {
namespace {

ExitStatus run(const std::string& script) {
  ProcessSpec spec;
  spec.program = "sh";
  spec.argv = {"sh", "-c", script};
  spec.env["GIVEN"] = "a value";
  Process process = Process::start(spec);
  pollfd entry{process.pidfd(), POLLIN, 0};
  for (int i = 0; i < 1000 && !process.status(); ++i) poll(&entry, 1, 50);
  return process.status().value();
}

TEST(Process, ReportsHowItEnded) {
  EXPECT_EQ(run("exit 3").code, 3);
  EXPECT_EQ(run("exit 3").text(), "exited with code 3");
  EXPECT_FALSE(run("exit 0").failed());
  const ExitStatus killed = run("kill -TERM $$");
  EXPECT_EQ(killed.signal, SIGTERM);
  EXPECT_EQ(killed.code, 1);
  EXPECT_EQ(killed.text(), "was killed by signal 15 (Terminated)");
}

TEST(Process, SeesTheVariablesThatItIsGiven) {
  EXPECT_EQ(run("test \"$GIVEN\" = 'a value' && test -n \"$PATH\"").code, 0);
}

TEST(Process, IsNotStartedWithTheSignalsBlockedThatThisOneBlocks) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  EXPECT_EQ(run("kill -TERM $$; exit 5").signal, SIGTERM);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Process, MustExist) {
  ProcessSpec spec;
  spec.program = "/no/such/program";
  spec.argv = {"program"};
  EXPECT_THROW(Process::start(spec), Error);
}

}  // namespace
}  // namespace trireme
