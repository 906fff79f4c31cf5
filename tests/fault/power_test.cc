// Power fails, the process is killed, the disk is full or breaks, at any operation: the same
// command goes on, and the output is whole.
#include <gtest/gtest.h>

#include <cerrno>

#include "core/error.h"
#include "fault/campaign.h"
#include "fault/simulated_job.h"

namespace trireme::testing {
namespace {

enum class End { killed, power };

void restart(TestDisk& disk, End end) {
  end == End::killed ? disk.restart_after_kill() : disk.restart_after_power_loss();
}

/// Runs the job until it is done, through `ends`, each of a process at an operation of its own.
/// Returns what is wrong.
std::string survive(TestDisk& disk, SimulatedJob& job,
                    const std::vector<std::pair<End, std::uint64_t>>& ends) {
  for (const auto& [end, operation] : ends) {
    if (job.complete()) break;
    disk.end_at(disk.operations() + operation);
    try {
      job.run();
    } catch (const ProcessEnds&) {
    }
    restart(disk, end);
  }
  if (!job.complete()) job.run();
  return job.complaint() + job.complaint_about_output();
}

std::uint64_t operations_of(const Workload& work, bool sync_each, std::uint32_t shards) {
  TestDisk disk(0);
  SimulatedJob job(work, disk, 1);
  if (sync_each) job.sync_each_row();
  job.set_shards(shards);
  job.run();
  return disk.operations();
}

/// How the process ends, whether each row is made durable, files of the output (0: no folder).
class AtEveryOperation : public ::testing::TestWithParam<std::tuple<End, bool, std::uint32_t>> {};

TEST_P(AtEveryOperation, TheJobGoesOn) {
  const auto [end, sync_each, shards] = GetParam();
  const Workload work = workload_of(12);
  const std::uint64_t operations = operations_of(work, sync_each, shards);
  ASSERT_GT(operations, 20u);
  for (std::uint64_t first = 0; first < operations; ++first) {
    // And once more, while it resumes.
    for (const std::uint64_t second :
         {std::uint64_t{1}, first % 5, first % 11, std::uint64_t{999}}) {
      for (unsigned seed = 0; seed < campaign(3, 20); ++seed) {
        TestDisk disk(seed);
        SimulatedJob job(work, disk, seed);
        if (sync_each) job.sync_each_row();
        job.set_shards(shards);
        ASSERT_EQ(survive(disk, job, {{end, first}, {end, second}}), "")
            << "at operations " << first << " and " << second << ", seed " << seed;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ends, AtEveryOperation,
                         ::testing::Combine(::testing::Values(End::killed, End::power),
                                            ::testing::Bool(), ::testing::Values(0u, 3u)));

TEST(PowerLoss, AtSeededPointsOfALargerJob) {
  const Workload work = workload_of(150);
  const std::uint64_t operations = operations_of(work, true, 0);
  for (unsigned seed = 0; seed < campaign(1000, 20000); ++seed) {
    std::mt19937 random(seed);
    TestDisk disk(seed);
    SimulatedJob job(work, disk, seed, {.killed = 10, .joins = 100, .twice = 50, .late = 50});
    if (seed % 2 == 0) job.sync_each_row();
    job.set_limits({.queued_rows = 40, .window_rows = 1 + random() % 60});
    std::vector<std::pair<End, std::uint64_t>> ends;
    for (unsigned i = 0; i <= seed % 4; ++i) {
      ends.emplace_back(random() % 4 == 0 ? End::killed : End::power, random() % operations);
    }
    ASSERT_EQ(survive(disk, job, ends), "") << "seed " << seed;
  }
}

/// Ten lives and more.
TEST(PowerLoss, AgainAndAgain) {
  const Workload work = workload_of(60);
  for (unsigned seed = 0; seed < campaign(100, 2000); ++seed) {
    TestDisk disk(seed);
    SimulatedJob job(work, disk, seed);
    job.sync_each_row();
    job.set_limits({.window_rows = 10});
    std::vector<std::pair<End, std::uint64_t>> ends;
    for (unsigned i = 0; i < 20; ++i) {
      ends.emplace_back(i % 2 == 0 ? End::power : End::killed, 6 + (seed + i) % 15);
    }
    ASSERT_EQ(survive(disk, job, ends), "") << "seed " << seed;
  }
}

/// A disk may still hold what was in the journal's place: rows of another job are none of this
/// one's.
TEST(PowerLoss, NothingOfAJobThatWasGivenUpComesBack) {
  const Workload work = workload_of(30);
  for (unsigned seed = 0; seed < campaign(500, 10000); ++seed) {
    std::mt19937 random(seed);
    TestDisk disk(seed);
    SimulatedJob job(work, disk, seed);
    job.sync_each_row();
    disk.end_at(30 + random() % 20);
    EXPECT_THROW(job.run(), ProcessEnds);
    disk.restart_after_kill();
    job.become("another99");  // as long a name
    disk.end_at(disk.operations() + random() % 12);
    try {
      job.run();
    } catch (const ProcessEnds&) {
    }
    disk.restart_after_power_loss();
    try {
      ASSERT_EQ(survive(disk, job, {}), "") << "seed " << seed;
    } catch (const Error& refused) {  // what is there is of the first job still
      ASSERT_NE(std::string(refused.what()).find("another job"), std::string::npos)
          << refused.what();
    }
  }
}

/// A test that can fail: a ledger that trusts a name before its directory is durable would be told.
TEST(PowerLoss, TheDiskForgetsWhatWasNotMadeDurable) {
  int lost_bytes = 0, lost_names = 0, torn = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    TestDisk disk(seed);
    disk.write("kept", "before");
    const auto kept = disk.open("kept", Opening::keep);
    kept->write_at(0, std::string(2000, 'x'), "");
    disk.open("new", Opening::keep)->write("y", "");
    disk.restart_after_power_loss();
    const std::string bytes = *disk.read("kept");
    lost_bytes += bytes == "before" ? 1 : 0;
    torn += bytes.starts_with("before") && bytes.find('x') != std::string::npos ? 1 : 0;
    lost_names += disk.read("new") ? 0 : 1;
  }
  EXPECT_GT(lost_bytes, 20);
  EXPECT_GT(lost_names, 20);
  EXPECT_GT(torn, 10);
}

struct Failure {
  const char* operation;
  int error;
};

class DiskFails : public ::testing::TestWithParam<Failure> {};

/// From the k-th operation on, for each k, until one pass is clean. The next process finds the disk
/// mended; or, the machine having been started anew, without what it had not been able to keep.
TEST_P(DiskFails, TheRunEndsAndTheNextGoesOn) {
  const auto [operation, error] = GetParam();
  const Workload work = workload_of(12);
  for (const End end : {End::killed, End::power}) {
    std::uint64_t passes = 0, clean_ways = 0;  // four ways of a job
    for (bool clean = false; !clean; ++passes) {
      TestDisk disk(static_cast<unsigned>(passes));
      SimulatedJob job(work, disk, 7);
      if (passes % 2 == 0) job.sync_each_row();
      job.set_shards(passes % 4 < 2 ? 0 : 2);
      disk.fail_from(operation, passes / 4 + 1, error);
      try {
        job.run();
      } catch (const Error& told) {
        EXPECT_EQ(told.kind(), ErrorKind::resource) << told.what();
        EXPECT_NE(std::string(told.what()).find(std::strerror(error)), std::string::npos)
            << told.what();
      }
      clean_ways = disk.mend() ? 0 : clean_ways + 1;
      clean = passes % 4 == 3 && clean_ways >= 4;
      restart(disk, end);
      ASSERT_EQ(survive(disk, job, {}), "") << operation << " number " << passes / 4 + 1;
    }
    EXPECT_GT(passes, 2u) << "nothing ever failed";
  }
}

INSTANTIATE_TEST_SUITE_P(All, DiskFails,
                         ::testing::Values(Failure{"write", ENOSPC}, Failure{"write", EDQUOT},
                                           Failure{"write", EIO}, Failure{"sync", EIO},
                                           Failure{"sync", ENOSPC}, Failure{"sync", EDQUOT},
                                           Failure{"open", ENOSPC}, Failure{"rename", EIO},
                                           Failure{"rename", ENOSPC}, Failure{"remove", EIO}),
                         [](const auto& test) {
                           return std::string(test.param.operation) +
                                  std::to_string(test.param.error);
                         });

/// What a failed sync was to make durable is seen by the next process, and gone with the power
/// after that: it must not have been believed in between.
TEST(DiskFails, WhatAFailedSyncLostIsNotBelieved) {
  const Workload work = workload_of(40);
  for (unsigned seed = 0; seed < campaign(300, 5000); ++seed) {
    std::mt19937 random(seed);
    TestDisk disk(seed);
    SimulatedJob job(work, disk, seed);
    job.sync_each_row();
    disk.fail_from("sync", 3 + random() % 40, EIO);
    try {
      job.run();
    } catch (const Error&) {
    }
    disk.mend();
    disk.restart_after_kill();
    ASSERT_EQ(survive(disk, job, {{End::power, 1 + random() % 60}}), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace trireme::testing
