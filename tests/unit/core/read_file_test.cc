// Files that are absent, something else, or out of reach are told apart, by name.
#include "core/read_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace trireme {
namespace {

namespace fs = std::filesystem;

class ReadFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "trireme-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::permissions(folder_, fs::perms::all);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  /// The Error that reading `path` ends with, as "exit code: message".
  static std::string failure(const fs::path& path) {
    try {
      (void)read_file_if_there(path);
    } catch (const Error& error) {
      return fmt::format("{}: {}", exit_code(error.kind()), error.what());
    }
    return "";
  }

  fs::path folder_;
};

TEST_F(ReadFile, GivesAllBytes) {
  std::string text(200000, 'x');
  text[7] = '\0';
  EXPECT_EQ(read_file(write("long", text)), text);
  EXPECT_EQ(read_file_if_there(write("empty", "")), "");
  EXPECT_EQ(read_file_if_there(folder_ / "none"), std::nullopt);
  EXPECT_EQ(read_file_if_there(write("file", "x") / "none"), std::nullopt);
}

TEST_F(ReadFile, AFileThatIsNeededIsNamed) {
  try {
    (void)read_file(folder_ / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("/none: cannot open"), std::string::npos);
  }
}

TEST_F(ReadFile, WhatIsNoFileIsNotAbsent) {
  fs::create_directory(folder_ / "folder");
  EXPECT_EQ(failure(folder_ / "folder"),
            fmt::format("1: {}/folder: not a regular file", folder_.string()));
  fs::create_symlink("blob", folder_ / "dangling");
  EXPECT_NE(failure(folder_ / "dangling").find("dangling: cannot open: this link leads to"),
            std::string::npos);
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_EQ(failure(folder_ / "loop").find("1: " + (folder_ / "loop").string()), 0u);
}

/// Runs `check` as a user who owns nothing; returns whether it held, or nothing if this one may not
/// become another.
template <typename Check>
std::optional<bool> as_nobody(Check check) {
  constexpr uid_t nobody = 65534;
  constexpr int cannot = 77;
  const pid_t child = fork();
  if (child == 0) {
    if (getuid() == 0 && setresuid(nobody, nobody, nobody) != 0) _exit(cannot);
    _exit(check() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  return code == cannot ? std::nullopt : std::optional(code == 0);
}

TEST_F(ReadFile, WhatMayNotBeReadIsAResourceThatLacks) {
  const fs::path secret = write("secret", "x");
  fs::permissions(secret, fs::perms::none);
  fs::create_directory(folder_ / "closed");
  std::ofstream(folder_ / "closed/file") << "x";
  fs::permissions(folder_ / "closed", fs::perms::none);
  for (const fs::path& path : {secret, folder_ / "closed/file", folder_ / "closed/none"}) {
    const auto held = as_nobody([&] {
      const std::string message = failure(path);
      return message.starts_with("4: " + path.string()) &&
             message.find("Permission denied; let this user read it") != std::string::npos;
    });
    if (!held) GTEST_SKIP() << "cannot become another user";
    EXPECT_TRUE(*held) << path;
  }
  fs::permissions(folder_ / "closed", fs::perms::all);
}

}  // namespace
}  // namespace trireme
