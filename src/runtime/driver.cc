#include "runtime/driver.h"

#include "core/error.h"

namespace trireme {

Driver::Driver(Communicator& replica, const ParallelSizes& sizes, Stage& stage,
               const SchedulerLimits& limits)
    : replica_(replica), sizes_(sizes), stage_(stage), scheduler_(limits) {
  TRIREME_ASSERT(replica.rank() == 0);
}

void Driver::stop() noexcept {
  stopped_ = true;
  stage_.meter().pause();
  if (failed_) return;
  try {
    const Message stop = encode(StepPlan{.stop = true});
    for (int rank = 1; rank < replica_.size(); ++rank) replica_.send(rank, stop);
  } catch (const Error&) {
    // A rank is gone already; whoever started it has the news.
  }
}

std::vector<SequenceEvent> Driver::step() {
  failed_ = true;  // until this step has gone well
  while (in_flight_ < sizes_.pp) {
    const std::optional<StepPlan> plan = scheduler_.schedule();
    if (!plan) break;
    issue(*plan);
  }
  std::vector<SequenceEvent> events;
  if (in_flight_ > 0) {
    if (ready_.empty()) ready_.push_back(receive_result());
    events = scheduler_.complete(std::move(ready_.front()));
    ready_.pop_front();
    --in_flight_;
    stage_.meter().cache_in_use(static_cast<std::uint64_t>(scheduler_.used_blocks()));
  }
  failed_ = false;
  stopped_ = false;
  return events;
}

StepResult Driver::receive_result() {
  stage_.meter().wait_begins();
  StepResult result = decode_result(replica_.receive(result_rank()));
  stage_.meter().wait_ends();
  return result;
}

void Driver::issue(const StepPlan& plan) {
  const Message message = replica_.size() > 1 ? encode(plan) : Message{};
  for (int rank = 1; rank < replica_.size(); ++rank) replica_.send(rank, message);
  if (std::optional<StepResult> result = stage_.execute(plan)) {
    ready_.push_back(std::move(*result));
  }
  ++in_flight_;
}

void follow(Communicator& replica, const ParallelSizes& sizes, Stage& stage) {
  for (;;) {
    const StepPlan plan = decode_plan(replica.receive(0));
    if (plan.stop) return stage.meter().pause();
    const std::optional<StepResult> result = stage.execute(plan);
    // With one stage the driver itself is the group's first rank and has the result already.
    if (result && sizes.pp > 1) replica.send(0, encode(*result));
  }
}

}  // namespace trireme
