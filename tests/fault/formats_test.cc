// Outputs of other forms than a file of JSON Lines, killed and out of space while they are written:
// absent or whole, and the same command makes them whole.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* fail_point_variable = "TRIREME_TEST_FAIL_POINT";
constexpr const char* disk_error_variable = "TRIREME_TEST_DISK_ERROR";

/// The files of a folder by name, or the file; "" if nothing is there.
std::string all_of(const fs::path& path) {
  if (!fs::exists(path)) return "";
  if (!fs::is_directory(path)) return read_file(path);
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    files[entry.path().filename().string()] = read_file(entry.path());
  }
  std::string text;
  for (const auto& [name, bytes] : files) text += "== " + name + "\n" + bytes;
  return text;
}

/// Nothing beside input and output.
void expect_clean(const Job& job) {
  for (const auto& entry : fs::directory_iterator(fs::path(job.output()).parent_path())) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name.find("partial") == name.npos && name.find("journal") == name.npos) << name;
  }
}

struct Form {
  std::string name;
  Words flags;
};

class OtherForms : public ::testing::TestWithParam<Form> {
 protected:
  OtherForms() : job_(10, GetParam().flags) {
    job_.set_output(job_.file(GetParam().name));
    EXPECT_EQ(job_.run({}).exit_code, 0);
    whole_ = all_of(job_.output());
    EXPECT_FALSE(whole_.empty());
  }

  /// Over the output that is there: until it is replaced it stays whole.
  Outcome run() { return job_.run({"--overwrite"}); }

  Job job_;
  std::string whole_;
};

TEST_P(OtherForms, KilledAtEachPointTheyAreAbsentOrWhole) {
  for (const std::string point :
       {"output.create.before", "output.create.after", "output.create.after:2",
        "output.write.after", "output.write.before:2", "output.sync.before", "output.sync.after:3",
        "output.rename.before", "output.rename.after", "output.directory.sync.after",
        "journal.remove.before"}) {
    job_.set_env(fail_point_variable, point);
    const int exit_code = run().exit_code;
    job_.set_env(fail_point_variable, "");
    EXPECT_TRUE(exit_code == 128 + SIGKILL || exit_code == 0) << point;  // a file has one create
    const std::string left = all_of(job_.output());
    EXPECT_TRUE(left.empty() || left == whole_) << point;
    EXPECT_EQ(run().exit_code, 0) << point;
    EXPECT_TRUE(all_of(job_.output()) == whole_) << point;
    expect_clean(job_);
  }
}

TEST_P(OtherForms, OutOfSpaceTheyLeaveNothingButTheJournal) {
  fs::remove_all(job_.output());
  for (const std::string error : {"sync:2:EIO", "rename:1:ENOSPC", "write:12:ENOSPC"}) {
    job_.set_env(disk_error_variable, error);
    const Outcome failed = run();
    job_.set_env(disk_error_variable, "");
    EXPECT_EQ(failed.exit_code, 4) << error << failed.err;
    EXPECT_EQ(all_of(job_.output()), "") << error;
    EXPECT_FALSE(fs::exists(job_.output() + ".partial")) << error;
    EXPECT_EQ(run().exit_code, 0) << error;
    EXPECT_TRUE(all_of(job_.output()) == whole_) << error;
    fs::remove_all(job_.output());
  }
}

INSTANTIATE_TEST_SUITE_P(, OtherForms,
                         ::testing::Values(Form{"out.csv.gz", {}}, Form{"out", {"--shards", "3"}},
                                           Form{"folder.zst", {"--shards", "2", "--keep-columns"}}),
                         [](const auto& form) {
                           return std::string(form.index == 0   ? "OneFile"
                                              : form.index == 1 ? "Shards"
                                                                : "CompressedShards");
                         });

TEST(OtherForm, MayBeChosenWhenTheJobResumes) {
  Job job(10);
  EXPECT_EQ(job.run({"--output-format", "csv"}).exit_code, 0);
  const std::string table = job.written();
  job.forget_output();
  job.set_env(fail_point_variable, "output.rename.before");
  EXPECT_EQ(job.run({}).exit_code, 128 + SIGKILL);
  job.set_env(fail_point_variable, "");
  const Outcome outcome = job.run({"--output-format", "csv"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("are done already"), std::string::npos) << outcome.err;
  EXPECT_TRUE(job.written() == table);
  EXPECT_EQ(job.run({"--overwrite", "--keep-columns"}).exit_code, 0);
}

}  // namespace
}  // namespace trireme::testing
