// For tests that start real processes: where the worker is, and the notes that its ranks leave.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "launch/launcher.h"

namespace trireme {

/// Generous: the machine may be busy with other things.
inline constexpr std::chrono::seconds soon{60};

/// A folder of notes that lives as long as this object.
class Notes {
 public:
  Notes();
  ~Notes();
  const std::filesystem::path& folder() const { return folder_; }
  /// What rank `local_rank` has noted under `name`, if it has.
  std::optional<std::string> read(const std::string& name, int local_rank) const;
  /// The same, waiting for it; "" if it does not come.
  std::string wait(const std::string& name, int local_rank) const;
  int count(const std::string& name) const;

 private:
  std::filesystem::path folder_;
};

/// Ranks of tests/dist/comm_worker.cc that leave their notes in `notes`.
LaunchSpec workers(const Notes& notes, int ranks, std::vector<std::string> arguments);

/// Whether a process exists and has not ended.
bool process_lives(pid_t pid);

}  // namespace trireme
