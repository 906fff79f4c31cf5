// Starts the built program as a user would and keeps what it says.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace trireme::testing {

struct Outcome {
  int exit_code = -1;  ///< 128 + signal where one ended it
  std::string out;
  std::string err;
};

/// Runs `program` (a path, or a name in PATH) with the arguments, the environment changed by `env`
/// and `input` on its standard input.
Outcome run(const std::string& program, const std::vector<std::string>& arguments,
            const std::map<std::string, std::string>& env = {}, const std::string& input = {});

/// This process's environment with `changes`, for a program to start. Under mpirun no leaks are
/// looked for: Open MPI never frees some of its memory, from modules that are gone when it is
/// found.
std::vector<std::string> environment_for(const std::string& program,
                                         std::map<std::string, std::string> changes);

/// build/<preset>/trireme.
std::string trireme_program();

/// The whole of a file.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);

/// A new empty folder that is removed with this object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace trireme::testing
