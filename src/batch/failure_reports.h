// What the ranks of a batch say when they fail, once: replicas fail alike, and the person who
// started them has one terminal.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// The launcher's side: a pipe that every rank inherits.
class FailureReports {
 public:
  /// The variable that tells a rank its end.
  static constexpr const char* variable = "TRIREME_REPORT_FD";

  /// Throws Error(resource).
  FailureReports();
  ~FailureReports();
  FailureReports(const FailureReports&) = delete;
  FailureReports& operator=(const FailureReports&) = delete;

  int ranks_end() const { return ranks_end_; }
  /// The reports that have arrived, but for those that say what one before them said.
  std::vector<std::string> take();

 private:
  int own_end_ = -1;
  int ranks_end_ = -1;
  std::string incoming_;
  std::set<std::string> told_;
};

/// In a rank: hands a report to the launcher without waiting. False when there is none that could
/// take it; then it is up to the rank to say it.
bool report_failure(std::string_view message);

}  // namespace trireme
