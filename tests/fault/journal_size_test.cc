// A journal of millions of rows takes no more memory than a small one.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "batch/journal_records.h"
#include "batch/ledger.h"
#include "core/hash.h"
#include "fault/campaign.h"
#include "support/scratch.h"

namespace trireme::testing {
namespace {

constexpr std::uint64_t window = 8192;  // how far out of order these rows have finished
constexpr std::uint64_t few = 100000;   // more than any buffer holds
constexpr const char* job = "model=tiny\n";

RawRow row_of(std::uint64_t row) { return {.index = row, .line = row + 1, .bytes = "r"}; }

/// As a run leaves it that has answered all rows but the last.
void write_journal(const std::string& path, std::uint64_t rows) {
  std::ofstream file(path, std::ios::binary);
  const JournalHead head{1000, job};
  file << encode(head);
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> block;
  for (std::uint64_t begin = 0; begin < rows; begin += window) {
    block.clear();
    for (std::uint64_t row = begin; row < std::min(begin + window, rows); ++row)
      block.push_back(row);
    std::shuffle(block.begin(), block.end(), random);
    for (const std::uint64_t row : block) {
      if (row == rows - 1) continue;
      file << encode({row, row_of(row).hash(), row % 5 == 0, "{}"}, head.crc());
    }
  }
}

std::int64_t most_memory_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Resumes, answers what is left and finishes. Returns by how much memory grew, KiB.
std::int64_t finish(const std::string& path, std::uint64_t rows) {
  const std::int64_t before = most_memory_kib();
  const auto output = open_output({.path = path, .job = job});
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (output->has(row_of(row)) != (row < rows - 1)) throw std::runtime_error("a row is lost");
  }
  output->write(row_of(rows - 1), "{}", false);
  output->finish(rows);
  return most_memory_kib() - before;
}

/// In a process of its own: the peak of this one is of all that came before.
std::int64_t growth_kib(std::uint64_t rows) {
  const Scratch scratch;
  write_journal(scratch.file("out.trireme-journal"), rows);
  int ends[2] = {};
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::int64_t growth = -1;
    try {
      growth = finish(scratch.file("out"), rows);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    _exit(write(ends[1], &growth, sizeof(growth)) == sizeof(growth) ? 0 : 1);
  }
  std::int64_t growth = -1;
  EXPECT_EQ(read(ends[0], &growth, sizeof(growth)), static_cast<ssize_t>(sizeof(growth)));
  waitpid(child, nullptr, 0);
  close(ends[0]);
  close(ends[1]);
  EXPECT_GE(growth, 0);
  EXPECT_EQ(std::filesystem::file_size(scratch.file("out")), 3 * rows);
  return growth;
}

TEST(JournalSize, TwoMillionRowsTakeTheMemoryOfAFew) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "SKIP: sanitizers keep memory that has been freed";
#else
  const std::int64_t small = growth_kib(few);
  const std::int64_t large = growth_kib(campaign(2'000'000, 10'000'000));
  RecordProperty("small_kib", static_cast<int>(small));
  RecordProperty("large_kib", static_cast<int>(large));
  std::printf("memory grew by %ld KiB for %lu rows, %ld KiB for %u\n", small, few, large,
              campaign(2'000'000, 10'000'000));
  EXPECT_LT(large, small + 4096) << "eight bytes a row would be 16 MB";
#endif
}

}  // namespace
}  // namespace trireme::testing
