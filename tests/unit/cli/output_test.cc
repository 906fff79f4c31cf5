#include "cli/output.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "support/run_program.h"
#include "trireme/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

std::size_t files_in(const TemporaryFolder& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

TEST(Output, AppearsOnlyWhenComplete) {
  const TemporaryFolder folder;
  write_file(folder / "out", "old");
  {
    Output out(folder / "out");
    out.write("new");
    out.flush();
    EXPECT_EQ(read_file(folder / "out"), "old");
  }
  EXPECT_EQ(read_file(folder / "out"), "old") << "given up";
  EXPECT_EQ(files_in(folder), 1u) << "and nothing left behind";
  Output out(folder / "out");
  out.write("new");
  out.commit();
  EXPECT_EQ(read_file(folder / "out"), "new");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(Output, LargeTextsComeOutWhole) {
  const TemporaryFolder folder;
  std::string all;
  Output out(folder / "out");
  for (int i = 0; i < 50000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    all += line;
    out.write(line);
  }
  out.commit();
  EXPECT_TRUE(read_file(folder / "out") == all);
}

TEST(Output, SaysWhyItCannotWrite) {
  const TemporaryFolder folder;
  EXPECT_THROW(Output out(folder / "missing/out"), Error);
  EXPECT_THROW(Output out(folder.path()), Error);
  try {
    Output full("/dev/full");
    full.write("x");
    full.flush();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resource);
    EXPECT_NE(std::string(error.what()).find("/dev/full"), std::string::npos);
  }
}

TEST(Output, AGoneReaderIsNoError) {
  ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Output out("/proc/self/fd/" + std::to_string(ends[1]));
  out.write("x");
  EXPECT_THROW(out.flush(), OutputClosed);
  close(ends[1]);
}

}  // namespace
}  // namespace trireme
