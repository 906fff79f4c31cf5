// Coordinator, server and ledger over thousands of seeds: workers that die, crash on poisonous
// rows, answer late or twice, come and go; and a server that is killed or loses its power, and
// resumes.
#include <gtest/gtest.h>

#include "core/error.h"
#include "fault/campaign.h"
#include "fault/simulated_job.h"

namespace trireme::testing {
namespace {

/// What is wrong with a whole life of a job.
std::string simulate(unsigned seed) {
  std::mt19937 random(seed);
  const std::uint64_t rows = random() % 60;
  std::set<std::uint64_t> poison;
  for (std::uint64_t i = random() % 3; rows > 0 && i > 0; --i) poison.insert(random() % rows);
  const Workload work = workload_of(rows, poison);
  TestDisk disk(seed);
  SimulatedJob job(work, disk, static_cast<unsigned>(random()),
                   {.killed = static_cast<unsigned>(random() % 60),
                    .crashed = static_cast<unsigned>(random() % 30),
                    .joins = static_cast<unsigned>(random() % 300),
                    .twice = static_cast<unsigned>(random() % 200),
                    .late = static_cast<unsigned>(random() % 300)});
  job.set_limits({.queued_rows = 1 + random() % 20,
                  .window_rows = 1 + random() % 30,
                  .window_bytes = 1 + random() % 5000});
  if (random() % 2 == 0) job.sync_each_row();
  for (std::uint64_t lives = random() % 4; lives > 0 && !job.complete(); --lives) {
    disk.end_at(disk.operations() + random() % (2 * rows + 15));
    try {
      job.run();
    } catch (const ProcessEnds&) {
    }
    random() % 2 == 0 ? disk.restart_after_kill() : disk.restart_after_power_loss();
  }
  if (!job.complete()) job.run();
  return job.complaint() + job.complaint_about_output();
}

TEST(Simulation, EveryRowOnceInOrderWhateverHappens) {
  for (unsigned seed = 0; seed < campaign(10000, 200000); ++seed) {
    ASSERT_EQ(simulate(seed), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace trireme::testing
