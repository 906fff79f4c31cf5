// The worker's side of joining a batch: starts replicas as the coordinator's job wants them, and
// passes messages between them and the link.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "batch/job.h"
#include "trireme/options.h"

namespace trireme {

struct JoinSettings {
  std::string address;  ///< HOST:PORT of the coordinator
  std::string key_file;
  std::string name;  ///< for people; see is_worker_name()
  std::chrono::milliseconds peer_timeout{10000};
  std::chrono::seconds reconnect_for{60};
  int max_restarts = 3;
  bool stats = false;
  /// Plan and machine; a model only where the coordinator's name of it does not do. What determines
  /// the output is the coordinator's to say.
  Options options;
  /// The words by which this program becomes a rank of a batch with these options.
  std::function<std::vector<std::string>(const Options& options, bool chat)> arguments;
  /// Settles devices, and throws Error for what cannot work or does not fit.
  std::function<void(Options& options)> check;
  /// How often somebody has asked this process to stop: once, it leaves when the rows that it has
  /// are answered; twice, at once.
  std::function<int()> stop_requests;
  OnBatchNotice on_notice;
};

/// Works for the coordinator until the job is done or the worker leaves (0), or is refused (the
/// code of what is wrong); 5 when the coordinator is gone or has stopped. Throws Error.
int join_batch(const JoinSettings& settings);

/// Asks the coordinator at `settings.address` to let the worker `name` leave, and waits until it
/// has. 0, or 1 when there is no such worker. Throws Error.
int ask_to_leave(const JoinSettings& settings, const std::string& name);

}  // namespace trireme
