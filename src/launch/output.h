// Passes on what a rank prints, a line at a time, with the rank's name in front.
#pragma once

#include <string>

namespace trireme {

class PrefixedOutput {
 public:
  /// Lines go to `target` (a descriptor) as `prefix` + line. Throws Error(resource).
  PrefixedOutput(int target, std::string prefix);
  ~PrefixedOutput();
  PrefixedOutput(PrefixedOutput&& other) noexcept;
  PrefixedOutput& operator=(PrefixedOutput&&) = delete;

  /// What the child is to write to; close_child_end() after it has started.
  int child_end() const { return child_end_; }
  void close_child_end();
  /// For poll(); -1 once the output has ended.
  int fd() const { return fd_; }
  /// Passes on the whole lines that have arrived, and at the end the rest; does not wait.
  void pump();

 private:
  void write_lines(bool all);

  int fd_ = -1;
  int child_end_ = -1;
  int target_;
  std::string prefix_;
  std::string pending_;
};

}  // namespace trireme
