// The examples do what they say, built in the tree and against what `cmake --install` puts in
// place.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

using Words = std::vector<std::string>;
namespace fs = std::filesystem;

const std::string build = TRIREME_BINARY_DIR;
const std::string source = TRIREME_SOURCE_DIR;
const std::string model = source + "/demo/llama";

Outcome launched(const std::string& program, int processes, const std::string& example,
                 const Words& words = {}) {
  Words all{"launch", "-n", std::to_string(processes), "--", example};
  all.insert(all.end(), words.begin(), words.end());
  return run(program, all);
}

TEST(Examples, GatherWithPaddingGivesThreeResultsForAnyNumberOfProcesses) {
  const Outcome alone = run(build + "/gather_with_padding", {model});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  for (const int processes : {2, 3, 5}) {
    const Outcome outcome =
        launched(trireme_program(), processes, build + "/gather_with_padding", {model});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, alone.out);
  }
}

TEST(Examples, TheDocumentedOneIsTheFile) {
  const std::string file = read_file(source + "/examples/gather_with_padding.cc");
  const std::size_t begin = file.find("    const trireme::PartialState state;");
  const std::string body = file.substr(begin, file.find("  } catch") - begin);
  EXPECT_NE(read_file(source + "/docs/library.md").find(body), std::string::npos);
}

TEST(Examples, SplitPromptsWritesAFilePerProcess) {
  const TemporaryFolder one, two;
  EXPECT_EQ(run(build + "/split_prompts", {model, one.path()}).exit_code, 0);
  const Outcome outcome =
      launched(trireme_program(), 2, build + "/split_prompts", {model, two.path()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(read_file(two / "result_0.txt") + read_file(two / "result_1.txt"),
            read_file(one / "result_0.txt"));
}

TEST(Examples, Columns) {
  for (const int processes : {1, 3, 7}) {
    const Outcome outcome = launched(trireme_program(), processes, build + "/columns");
    EXPECT_EQ(outcome.out, "3\n6\n15\n16\n20\nsum 60\n") << outcome.err;
  }
}

class Installed : public ::testing::Test {
 protected:
  void SetUp() override {
    if (*TRIREME_SANITIZE != '\0') GTEST_SKIP() << "a plain program cannot load sanitized code";
    const Outcome outcome = run("cmake", {"--install", build, "--prefix", prefix()});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  }
  std::string prefix() const { return folder_ / "prefix"; }
  std::string library_folder() const { return prefix() + "/" TRIREME_LIBDIR; }
  TemporaryFolder folder_;
};

TEST_F(Installed, TheExamplesBuildWithTheCMakePackage) {
  const std::string tree = folder_ / "examples";
  const Outcome configured =
      run("cmake", {"-S", source + "/examples", "-B", tree, "-DCMAKE_PREFIX_PATH=" + prefix(),
                    std::string("-DCMAKE_CXX_COMPILER=") + TRIREME_CXX});
  ASSERT_EQ(configured.exit_code, 0) << configured.err;
  const Outcome built = run("cmake", {"--build", tree, "--target", "columns"});
  ASSERT_EQ(built.exit_code, 0) << built.out << built.err;
  const std::string program = prefix() + "/bin/trireme";
  EXPECT_EQ(launched(program, 2, tree + "/columns").out, "3\n6\n15\n16\n20\nsum 60\n");
  if (!fs::exists(library_folder() + "/trireme/libtrireme_mpi.so") ||
      run("mpirun", {"--version"}).exit_code != 0) {
    return;
  }
  const Outcome mpi =
      run("mpirun", {"--oversubscribe", "-n", "2", tree + "/columns"},
          {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}});
  EXPECT_EQ(mpi.out, "3\n6\n15\n16\n20\nsum 60\n") << mpi.err;
}

TEST_F(Installed, PkgConfigTellsTheFlags) {
  if (run("pkg-config", {"--version"}).exit_code != 0)
    GTEST_SKIP() << "there is no pkg-config here";
  const std::string program = folder_ / "columns";
  const Outcome built =
      run("sh",
          {"-c", std::string(TRIREME_CXX) + " -std=c++20 -o " + program + " " + source +
                     "/examples/columns.cc $(pkg-config --cflags --libs trireme) -Wl,-rpath," +
                     library_folder()},
          {{"PKG_CONFIG_PATH", library_folder() + "/pkgconfig"}});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  EXPECT_EQ(run(program, {}).out, "3\n6\n15\n16\n20\nsum 60\n");
}

TEST_F(Installed, TheHeadersNeedNothingElse) {
  int headers = 0;
  std::string all;
  for (const auto& entry : fs::directory_iterator(prefix() + "/include/trireme")) {
    all += "#include <trireme/" + entry.path().filename().string() + ">\n";
    ++headers;
  }
  EXPECT_GT(headers, 10);
  const std::string file = folder_ / "all.cc";
  write_file(file, all);
  const Outcome outcome = run(TRIREME_CXX, {"-std=c++20", "-fsyntax-only", "-Wall", "-Wextra",
                                            "-I" + prefix() + "/include", file});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

}  // namespace
}  // namespace trireme::testing
