// A chat template that prints the date prints that of the job's first start, however often it
// resumes.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

/// The demo model with a template that begins every prompt with the year.
void make_model(const std::filesystem::path& folder) {
  std::filesystem::copy(std::filesystem::path(TRIREME_SOURCE_DIR) / "demo/llama", folder);
  write_file(folder / "chat_template.jinja",
             "{{ strftime_now('%Y') }} {% for m in messages %}{{ m.content }}{% endfor %}");
}

class StartTime : public ::testing::TestWithParam<Words> {};

TEST_P(StartTime, IsThatOfTheFirstRun) {
  const TemporaryFolder folder;
  make_model(folder / "model");
  Job job(120, {"--chat", "--model", folder / "model"}, {{"SOURCE_DATE_EPOCH", "1000"}});
  const std::string then = job.expected();
  const auto running = job.start(GetParam());
  ASSERT_TRUE(job.await_growth(*running, then.size() / 4));
  send_signal(running->pid(), SIGKILL);
  running->wait();
  job.set_env("SOURCE_DATE_EPOCH", "1700000000");
  const Outcome resumed = job.run(GetParam());
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("rows are done already"), std::string::npos) << resumed.err;
  EXPECT_TRUE(job.written() == then);

  EXPECT_EQ(job.run({"--overwrite"}).exit_code, 0);
  EXPECT_FALSE(job.written() == then) << "the date matters";
}

INSTANTIATE_TEST_SUITE_P(Plans, StartTime, ::testing::Values(Words{}, Words{"-dp", "2"}));

}  // namespace
}  // namespace trireme::testing
