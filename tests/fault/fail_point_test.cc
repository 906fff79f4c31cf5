// The program as users run it, killed at each named point around what it writes, makes durable,
// renames and removes; and on disks that fail. The same command then gives the same bytes.
#include "batch/fail_point.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <random>

#include "fault/campaign.h"
#include "fault/job.h"

namespace trireme::testing {
namespace {

constexpr int rows = 12;
constexpr const char* fail_point_variable = "TRIREME_TEST_FAIL_POINT";
constexpr const char* disk_error_variable = "TRIREME_TEST_DISK_ERROR";

bool is_about_shards(std::string_view point) { return point.starts_with("shards."); }

bool is_about_torn_tails(std::string_view point) { return point.starts_with("journal.cut"); }

/// What a torn write would have left.
void tear_tail(const Job& job) {
  const std::string journal = job.output() + ".trireme-journal";
  write_file(journal, read_file(journal) + "ROW1 and no more");
}

/// Runs with the variable set once. True if the program was killed there.
bool run_to(Job& job, const std::string& point, const Words& plan) {
  job.set_env(fail_point_variable, point);
  const auto running = job.start(plan);
  const Outcome outcome = running->wait();
  job.set_env(fail_point_variable, "");
  const bool killed = outcome.exit_code == 128 + SIGKILL;
  EXPECT_TRUE(killed || outcome.exit_code == 0) << point << ": " << outcome.err;
  EXPECT_TRUE(running->nothing_left()) << "ranks outlive the program";
  return killed;
}

void resume_and_compare(Job& job, const Words& plan, const std::string& what) {
  if (!job.complete()) {
    const Outcome outcome = job.run(plan);
    EXPECT_EQ(outcome.exit_code, 0) << what << ": " << outcome.err;
  }
  EXPECT_TRUE(job.complete()) << what;
  EXPECT_TRUE(job.written() == job.expected()) << what;
  job.forget_output();
}

TEST(FailPoint, EachIsPassedAndSurvived) {
  Job job(rows);
  job.expected();
  for (const std::string_view point : fail_point_names()) {
    if (is_about_shards(point)) continue;
    if (is_about_torn_tails(point)) {
      ASSERT_TRUE(run_to(job, "journal.append.after:3", {}));
      tear_tail(job);
    }
    EXPECT_TRUE(run_to(job, std::string(point), {})) << point << " is passed by nobody";
    resume_and_compare(job, {}, std::string(point));
  }
}

std::string bytes_of_shards(const std::filesystem::path& folder) {
  std::string bytes;
  for (const char* const name : {"part-00000-of-00002.jsonl", "part-00001-of-00002.jsonl"}) {
    bytes += read_file(folder / name);
  }
  return bytes;
}

TEST(FailPoint, EachIsSurvivedWithShardsToo) {
  Job job(rows);
  job.expected();
  job.set_output(job.file("shards"));
  const Words plan{"--shards", "2"};
  for (const std::string_view point : fail_point_names()) {
    if (is_about_torn_tails(point)) continue;
    EXPECT_TRUE(run_to(job, std::string(point), plan)) << point << " is passed by nobody";
    if (!job.complete()) {
      const Outcome outcome = job.run(plan);
      EXPECT_EQ(outcome.exit_code, 0) << point << ": " << outcome.err;
    }
    EXPECT_TRUE(job.complete()) << point;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(job.output()) / "_SUCCESS"));
    EXPECT_TRUE(bytes_of_shards(job.output()) == job.expected()) << point;
    std::filesystem::remove_all(job.output());
  }
}

/// Also while it resumes, and under several plans.
TEST(FailPoint, SeededPassings) {
  Job job(rows);
  job.expected();
  const Words plans[] = {{}, {"-dp", "2"}, {"-tp", "2"}};
  std::mt19937 random(11);
  unsigned kills = 0;
  for (unsigned i = 0; kills < campaign(172, 2000); ++i) {
    const Words& plan = plans[i % 8 < 6 ? 0 : i % 8 - 5];
    const unsigned deaths = 1 + i % 3;
    for (unsigned death = 0; death < deaths && !job.complete(); ++death) {
      const auto names = fail_point_names();
      std::string point(names[random() % names.size()]);
      if (is_about_shards(point)) continue;
      if (point.starts_with("journal.append")) point += ":" + std::to_string(1 + random() % rows);
      kills += run_to(job, point, plan) ? 1 : 0;
    }
    resume_and_compare(job, plan, "round " + std::to_string(i));
  }
}

TEST(FailPoint, OneJobKilledTenTimes) {
  Job job(rows);
  job.expected();
  for (int kill = 0; kill < 10; ++kill) {
    EXPECT_TRUE(run_to(job, "journal.append.after:1", {}));
  }
  EXPECT_TRUE(run_to(job, "output.rename.after", {}));
  EXPECT_TRUE(run_to(job, "journal.remove.before", {}));
  resume_and_compare(job, {}, "ten times");
}

TEST(FailPoint, AnUnknownOneIsRefused) {
  Job job(1);
  job.set_env(fail_point_variable, "journal.burn");
  const Outcome outcome = job.run({});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("journal.burn"), std::string::npos) << outcome.err;
}

struct DiskError {
  const char* setting;
  const char* says;
};

class RealDiskError : public ::testing::TestWithParam<DiskError> {};

TEST_P(RealDiskError, EndsTheRunWithFourAndTheNextGoesOn) {
  Job job(rows);
  job.expected();
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    job.set_env(disk_error_variable, GetParam().setting);
    const auto running = job.start(plan);
    const Outcome outcome = running->wait();
    job.set_env(disk_error_variable, "");
    EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
    EXPECT_NE(outcome.err.find(GetParam().says), std::string::npos) << outcome.err;
    EXPECT_TRUE(running->nothing_left());
    EXPECT_FALSE(std::filesystem::exists(job.output() + ".partial"));
    resume_and_compare(job, plan, GetParam().setting);
  }
}

// The head is the first write and the first sync, its folder the second.
INSTANTIATE_TEST_SUITE_P(All, RealDiskError,
                         ::testing::Values(DiskError{"write:1:ENOSPC", "No space left"},
                                           DiskError{"write:4:ENOSPC", "are safe"},
                                           DiskError{"write:6:EDQUOT", "Disk quota exceeded"},
                                           DiskError{"write:9:EIO", "Input/output error"},
                                           DiskError{"write:14:ENOSPC", "the output needs"},
                                           DiskError{"sync:2:EIO", "make names in it durable"},
                                           DiskError{"sync:3:EIO", "are given up"},
                                           DiskError{"sync:4:EIO", "make durable"},
                                           DiskError{"sync:5:EIO", "durable"},
                                           DiskError{"rename:1:EIO", "cannot be named"},
                                           DiskError{"lock:1:ENOLCK", "has no locks"},
                                           DiskError{"remove:1:EIO", "cannot remove"}));

}  // namespace
}  // namespace trireme::testing
