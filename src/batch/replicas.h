// The replicas that a process starts, watches over and starts again when they die, whoever
// coordinates them: the launcher of a batch, or a worker that has joined one.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batch/failure_reports.h"
#include "launch/launcher.h"
#include "trireme/options.h"

namespace trireme {

/// Whether a process ends by this signal through a fault of its own making.
bool is_own_fault(int signal);

struct ReplicaSettings {
  Options options;                     ///< the plan
  std::vector<std::string> arguments;  ///< of this program, for each rank
  std::int64_t started = 0;            ///< when the job began, seconds since the epoch
  /// How often a replica is started again without any row answered in between.
  int max_restarts = 3;
  bool trace = false;  ///< ranks record what they do when: see Replicas::trace
  bool stats = false;  ///< every rank is to end by itself, so that it can say what it did
};

class Replicas {
 public:
  struct Handlers {
    std::function<void(int replica, const std::string& message)> on_message;
    /// The ranks of a replica have ended; what they have left can still be read. May be empty.
    std::function<void(int replica)> on_ended;
    /// A replica has ended. `crash`: the signal, if it was a fault of its own making, else 0. False
    /// when none is to be started again.
    std::function<bool(int replica, int crash)> on_lost;
    std::function<void(const std::string& text)> on_notice;
    /// Rows answered so far: a replica that dies before this grows is started again only so often.
    std::function<std::uint64_t()> rows_done;
  };
  /// Why none of them can work.
  struct Failure {
    std::string reason;
    int exit_code = 1;
  };

  Replicas(const ReplicaSettings& settings, Handlers handlers);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  void start() { launcher_.start(); }
  int count() const { return launcher_.groups(); }
  bool running(int replica) const { return launcher_.running(replica); }
  bool any_running() const { return launcher_.any_running(); }
  /// A rank has stopped with an error that it would repeat, and so would the others.
  const std::optional<Failure>& failure() const { return failure_; }

  /// Of one replica.
  int ranks() const { return ranks_; }
  /// What a rank of a replica that was started does, or did before it ended.
  const RankActivity& activity(int replica, int rank) const {
    return launcher_.activity(replica, rank);
  }
  const TraceRing& trace(int replica, int rank) const { return launcher_.trace(replica, rank); }

  /// Queues a message; one to a replica that has ended is dropped.
  void post(int replica, const std::string& message);
  /// Waits for messages, events and `also`, not for long, and hands them on. Call often.
  void turn(std::span<pollfd> also = {},
            std::chrono::milliseconds most = std::chrono::milliseconds(100));
  /// Ends a replica that runs; it is started again as one that died.
  void kill(int replica, std::string_view reason) { launcher_.kill_group(replica, reason); }
  /// Tells a replica that holds no rows to stop, or ends it while it is still loading the model.
  void stop(int replica);
  /// The work is done: tells who is ready to stop, and waits for them unless `hurry` says true. Who
  /// is still loading the model, after a restart perhaps, is not waited for.
  void dismiss(const std::function<bool()>& hurry);

 private:
  struct Restarts {
    int count = 0;
    std::uint64_t rows_at = 0;  ///< rows answered when counting began
  };

  LaunchSpec spec_of(const ReplicaSettings& settings);
  void share_weights(LaunchSpec& spec);
  void receive_all();
  void take(const LaunchEvent& event);
  bool may_restart(int replica);

  Handlers handlers_;
  int max_restarts_;
  int ranks_;
  bool stats_;
  std::vector<int> memories_;
  FailureReports reports_;
  Launcher launcher_;
  std::vector<Restarts> restarts_;
  std::vector<bool> ready_;  ///< have said something since they started
  std::optional<Failure> failure_;
};

}  // namespace trireme
