// A journal that ends in the middle of a record, at a thousand places, or goes on with garbage.
#include <gtest/gtest.h>

#include "core/error.h"
#include "fault/campaign.h"
#include "fault/simulated_job.h"

namespace trireme::testing {
namespace {

constexpr const char* journal = "out.trireme-journal";

/// The journal of a job when all of its rows are answered, but nothing is finished.
std::string whole_journal(const Workload& work) {
  TestDisk disk(1);
  SimulatedJob job(work, disk, 1);
  disk.fail_from("rename", 1, 5);
  EXPECT_THROW(job.run(), Error);
  return *disk.read(journal);
}

void resume(const Workload& work, const std::string& bytes, const std::string& what) {
  TestDisk disk(2);
  SimulatedJob job(work, disk, 2);
  disk.write(journal, bytes);
  job.run();
  ASSERT_EQ(job.complaint() + job.complaint_about_output(), "") << what;
}

TEST(TornJournal, IsCutWhereverItTears) {
  const Workload work = workload_of(60);
  const std::string whole = whole_journal(work);
  std::mt19937_64 random(5);
  for (unsigned i = 0; i < campaign(1000, 20000); ++i) {
    const std::size_t size = random() % (whole.size() + 1);
    resume(work, whole.substr(0, size), "torn at byte " + std::to_string(size));
  }
}

TEST(TornJournal, MayGoOnWithAnything) {
  const Workload work = workload_of(20);
  const std::string whole = whole_journal(work);
  std::mt19937_64 random(6);
  const std::size_t head = whole.find("ROW1");
  for (unsigned i = 0; i < campaign(1000, 20000); ++i) {
    const std::size_t size = head + random() % (whole.size() - head);
    std::string bytes = whole.substr(0, size);
    if (i % 3 == 0) {
      bytes.resize(size + random() % 3000);  // zeros
    } else {
      for (std::size_t garbage = random() % 300; garbage > 0; --garbage) {
        bytes.push_back(static_cast<char>(random()));
      }
      if (i % 3 == 2) bytes += whole.substr(random() % whole.size());
    }
    resume(work, bytes, "garbage from byte " + std::to_string(size));
  }
}

}  // namespace
}  // namespace trireme::testing
