// The loop of a replica: the first rank drives (it schedules and takes part), the others follow.
#pragma once

#include <deque>
#include <vector>

#include "runtime/scheduler.h"
#include "runtime/stage.h"

namespace trireme {

class Driver {
 public:
  /// On the replica's first rank.
  Driver(Communicator& replica, const ParallelSizes& sizes, Stage& stage,
         const SchedulerLimits& limits);
  ~Driver() {
    if (!stopped_) stop();
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// Tells the other ranks to leave follow(), unless a step has failed.
  void stop() noexcept;

  Scheduler& scheduler() { return scheduler_; }
  const Scheduler& scheduler() const { return scheduler_; }

  /// Steps that this rank has executed.
  std::int64_t steps() const { return stage_.steps(); }

  /// Keeps every pipeline stage supplied and returns what the oldest step brought; nothing when
  /// there is nothing to do.
  std::vector<SequenceEvent> step();

 private:
  void issue(const StepPlan& plan);
  StepResult receive_result();
  int result_rank() const { return (sizes_.pp - 1) * sizes_.tp; }

  Communicator& replica_;
  ParallelSizes sizes_;
  Stage& stage_;
  Scheduler scheduler_;
  std::deque<StepResult> ready_;  ///< results at hand, for a replica of one stage
  int in_flight_ = 0;
  bool failed_ = false;
  bool stopped_ = false;  ///< the others have been told to leave since the last step
};

/// On every other rank of the replica: executes steps until the driver stops.
void follow(Communicator& replica, const ParallelSizes& sizes, Stage& stage);

}  // namespace trireme
