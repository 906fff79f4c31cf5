// kill -9 at any moment, then the same command again: the output is the one that nobody
// interrupted.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <numeric>
#include <random>

#include "batch/coordinator.h"
#include "batch/ledger.h"
#include "support/scratch.h"

namespace trireme {
namespace {

constexpr std::uint64_t total_rows = 1500;

RawRow row_of(std::uint64_t index) { return {index, index + 1, "input " + std::to_string(index)}; }

std::string line_of(std::uint64_t index) {
  return "{\"id\":" + std::to_string(index) + ",\"text\":\"" + std::string(index * 31 % 3000, 'x') +
         "\"}";
}

/// A whole run: reads all rows, answers those that are left in an order of its own, finishes.
void run(const OutputOptions& options, unsigned seed) {
  std::mt19937 random(seed);
  const auto output = open_output(options);
  Coordinator coordinator({.window_rows = 200});
  coordinator.add_worker(0, 64);
  std::vector<std::uint64_t> running;
  while (!coordinator.done()) {
    while (coordinator.wants_rows()) {
      if (coordinator.total_rows() == total_rows) {
        coordinator.end_of_input();
        break;
      }
      RawRow row = row_of(coordinator.total_rows());
      if (output->has(row)) {
        coordinator.skip_row(row.index);
      } else {
        coordinator.add_row(std::move(row));
      }
    }
    for (const RawRow& row : coordinator.rows_for(0)) running.push_back(row.index);
    if (running.empty()) continue;
    std::swap(running[random() % running.size()], running.back());
    const std::uint64_t index = running.back();
    running.pop_back();
    const auto row = coordinator.on_result(index, 1, false);
    output->write(*row, line_of(index), index % 3 == 0);
  }
  output->finish(total_rows);
}

/// Runs it in a process of its own that is killed after `microseconds`. True if it finished before.
bool run_and_kill(const OutputOptions& options, unsigned seed, useconds_t microseconds) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      run(options, seed);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      _exit(1);
    }
    _exit(0);
  }
  usleep(microseconds);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return false;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return true;
}

TEST(LedgerKill, TheOutputIsTheUninterruptedOne) {
  std::string expected;
  for (std::uint64_t row = 0; row < total_rows; ++row) expected += line_of(row) + "\n";
  const Scratch timing;
  const auto begin = std::chrono::steady_clock::now();
  run({.path = timing.file("out"), .job = "kill test"}, 0);
  const std::chrono::duration<double, std::micro> whole = std::chrono::steady_clock::now() - begin;
  ASSERT_EQ(timing.read("out"), expected);

  // Delays up to the time of a whole run: most kills fall into its middle.
  const auto longest = static_cast<useconds_t>(std::min(whole.count(), 200000.0)) + 1;
  std::mt19937 random(42);
  int kills = 0, outputs = 0;
  while (kills < 150) {
    const Scratch scratch;
    const OutputOptions options{.path = scratch.file("out"), .job = "kill test"};
    // A run that goes on makes its journal durable first, and may take longer than a whole one did
    // on a quiet disk: it gets more time each time, or would never end.
    useconds_t most = longest;
    // A run that is killed just before its end may have renamed its output already, journal and
    // all.
    while (!run_and_kill(options, static_cast<unsigned>(random()),
                         static_cast<useconds_t>(random() % most))) {
      ++kills;
      most += longest / 4;
      if (!scratch.has("out")) continue;
      ASSERT_EQ(scratch.read("out"), expected);
      if (!scratch.has("out.trireme-journal")) break;
    }
    ASSERT_EQ(scratch.read("out"), expected);
    ASSERT_FALSE(scratch.has("out.trireme-journal"));
    ++outputs;
  }
  EXPECT_GT(outputs, 5);
}

}  // namespace
}  // namespace trireme
