// One child process: started afresh, watched, and never left behind.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

struct ProcessSpec {
  std::string program;                     ///< a path, or a name to look for in PATH
  std::vector<std::string> argv;           ///< with the name as the program is to see it in front
  std::map<std::string, std::string> env;  ///< added to this process's environment
  std::vector<int> inherited;   ///< descriptors that the child keeps, under the same numbers
  int standard[3] = {0, 1, 2};  ///< what its stdin, stdout and stderr become
};

struct ExitStatus {
  int code = 0;    ///< 1 if a signal killed it
  int signal = 0;  ///< 0 if it exited
  bool failed() const { return code != 0; }
  /// "was killed by signal 9 (Killed)", "exited with code 3"
  std::string text() const;
};

/// A child that dies with this process, even if this one is killed with SIGKILL; strictly, with the
/// thread that started it (PR_SET_PDEATHSIG), which must therefore live as long as the child.
class Process {
 public:
  /// Throws Error(input) when the program cannot be run, Error(resource) when no process can be
  /// had.
  static Process start(const ProcessSpec& spec);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  /// Kills it if it still runs.
  ~Process();

  pid_t pid() const { return pid_; }
  /// Readable once the child has ended; -1 where the system has no such thing.
  int pidfd() const { return pidfd_; }
  /// Set once the child has ended and this has been called; does not wait.
  const std::optional<ExitStatus>& status();
  void signal(int number) const;
  /// User and system time that it has used, in clock ticks; nothing once it is gone.
  std::optional<unsigned long> cpu_ticks() const;

 private:
  explicit Process(pid_t pid);
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::optional<ExitStatus> status_;
};

}  // namespace trireme
