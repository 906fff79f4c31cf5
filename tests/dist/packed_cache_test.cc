// --packed-cache through the whole program: the same bytes with and without it under every plan,
// the second start maps what the first has packed, and whatever is wrong with it costs a warning.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "kernels/registry.h"
#include "support/run_program.h"

namespace trireme::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++times;
  }
  return times;
}

class PackedCacheRuns : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 6; ++i) {
      rows += R"({"prompt": "ROMEO:\nI am number )" + std::to_string(i) +
              R"(", "max_new_tokens": 9})" + "\n";
    }
    write_file(folder / "rows.jsonl", rows);
    fs::copy(fs::path(TRIREME_SOURCE_DIR) / "demo/llama", model);
  }

  struct Run {
    std::string output;
    std::string err;
    std::size_t mapped = 0;  ///< ranks whose weights came from the cache
    std::size_t packed = 0;  ///< ranks whose weights did not
  };

  /// `batch` with the flags; the program must not fail.
  Run batch(const Words& flags, const std::map<std::string, std::string>& env = {}) const {
    const std::string out = folder / "out.jsonl";
    fs::remove(out);
    Words words{"batch", "--model", model.string(), "-i",        folder / "rows.jsonl",
                "-o",    out,       "--stats",      "--threads", "1"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = run(trireme_program(), words, env);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return {read_file(out), outcome.err, count(outcome.err, "\"mapped_weights\": true"),
            count(outcome.err, "\"mapped_weights\": false")};
  }
  Run cached(Words flags = {}, const std::map<std::string, std::string>& env = {}) const {
    flags.insert(flags.end(), {"--packed-cache", cache.string()});
    return batch(flags, env);
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(cache)) found.push_back(entry.path());
    return found;
  }

  const TemporaryFolder folder;
  const fs::path model = folder / "model";
  const fs::path cache = folder / "new" / "cache";
};

struct Plan {
  Words flags;
  std::size_t ranks = 1;
  std::size_t shares = 1;  ///< ranks of one replica
};

TEST_F(PackedCacheRuns, TheSameBytesUnderEveryPlanAndTheSecondStartMaps) {
  const std::vector<Plan> plans{{{}, 1, 1},
                                {{"-tp", "2", "-pp", "2"}, 4, 4},
                                {{"-dp", "2"}, 2, 1},
                                {{"-tp", "3"}, 3, 3},
                                {{"-dp", "2", "-pp", "2"}, 4, 2}};
  for (const char* const quantization : {"none", "int8", "int4"}) {
    const std::string expected = batch({"--quantization", quantization}).output;
    for (Plan plan : plans) {
      fs::remove_all(cache);
      plan.flags.insert(plan.flags.end(), {"--quantization", quantization});
      const Run first = cached(plan.flags);
      EXPECT_EQ(first.output, expected) << plan.flags[0];
      EXPECT_EQ(first.packed, plan.ranks) << first.err;
      EXPECT_EQ(files().size(), plan.shares) << "one file for each rank's share, and nothing else";
      const Run second = cached(plan.flags);
      EXPECT_EQ(second.output, expected) << plan.flags[0];
      EXPECT_EQ(second.mapped, plan.ranks) << second.err;
      EXPECT_EQ(count(second.err, "warning"), 0u) << second.err;
    }
  }
}

TEST_F(PackedCacheRuns, EachWayOfKeepingWeightsHasItsFileAndInstructionSetsShareOne) {
  cached();
  EXPECT_EQ(cached({"-tp", "2"}).mapped, 0u);
  EXPECT_EQ(cached({"--dtype", "float32"}).mapped, 0u);
  EXPECT_EQ(cached({"--quantization", "int8"}).mapped, 0u);
  EXPECT_EQ(files().size(), 5u);
  for (const std::string& isa : available_backends()) {
    if (isa == "amx") continue;
    EXPECT_EQ(cached({}, {{"TRIREME_ISA", isa}}).mapped, 1u) << isa;
  }
}

TEST_F(PackedCacheRuns, DamageIsNamedAndMended) {
  const std::string expected = cached({"-tp", "2"}).output;
  for (const bool cut : {false, true}) {
    for (const fs::path& file : files()) {
      std::string bytes = read_file(file);
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
      if (cut) bytes.pop_back();
      write_file(file, bytes);
    }
    const Run damaged = cached({"-tp", "2"});
    EXPECT_EQ(damaged.output, expected);
    EXPECT_EQ(damaged.packed, 2u) << damaged.err;
    for (const fs::path& file : files()) {
      EXPECT_NE(damaged.err.find("warning: " + file.string()), std::string::npos) << damaged.err;
    }
    const Run mended = cached({"-tp", "2"});
    EXPECT_EQ(mended.mapped, 2u) << mended.err;
    EXPECT_EQ(mended.output, expected);
  }
}

TEST_F(PackedCacheRuns, AModelThatHasChangedIsReadAgain) {
  cached();
  const fs::path weights = model / "model.safetensors";
  const auto written_at = fs::last_write_time(weights);
  const std::string before = read_file(weights);
  // Far from every sample, by whoever has written the file since.
  std::string bytes = before;
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 0x40);
  write_file(weights, bytes);
  fs::last_write_time(weights, written_at + std::chrono::seconds(1));
  EXPECT_EQ(cached().mapped, 0u);
  // Another model, with the time and the size of the one before.
  bytes = before;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(weights, bytes);
  fs::last_write_time(weights, written_at);
  EXPECT_EQ(cached().mapped, 0u);
  write_file(weights, before);
  fs::last_write_time(weights, written_at);
  EXPECT_EQ(cached().mapped, 1u) << "the first one's file is still there";
  write_file(model / "config.json", read_file(model / "config.json") + "\n");
  EXPECT_EQ(cached().mapped, 0u);
}

TEST_F(PackedCacheRuns, ADirectoryThatCannotBeIsAWarning) {
  write_file(folder / "new", "no directory");
  const Run run = cached();
  EXPECT_EQ(run.output, batch({}).output);
  EXPECT_EQ(count(run.err, "warning"), 1u) << run.err;
  EXPECT_NE(run.err.find("cannot create this directory"), std::string::npos) << run.err;
}

TEST_F(PackedCacheRuns, TheEnvironmentMayNameTheDirectory) {
  const std::map<std::string, std::string> env{{"TRIREME_PACKED_CACHE", cache.string()}};
  batch({"-tp", "2"}, env);
  EXPECT_EQ(batch({"-tp", "2"}, env).mapped, 2u);
}

TEST_F(PackedCacheRuns, VerbsShareAFileAndTwoAtOnceLeaveAWholeOne) {
  const Words prompt{
      "-m", model.string(), "--packed-cache", cache.string(), "-n", "8", "--temperature",
      "0",  "ROMEO:"};
  const auto answer = [&] {
    Words words{"run"};
    words.insert(words.end(), prompt.begin(), prompt.end());
    return run(trireme_program(), words);
  };
  auto other = std::async(std::launch::async, answer);
  const Outcome one = answer();
  EXPECT_EQ(other.get().out, one.out);
  EXPECT_EQ(one.err, "");
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(cached().mapped, 1u);
  EXPECT_EQ(answer().out, one.out);
  EXPECT_EQ(files().size(), 1u);
}

}  // namespace
}  // namespace trireme::testing
