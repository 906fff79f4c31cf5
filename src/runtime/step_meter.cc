#include "runtime/step_meter.h"

#include <algorithm>

namespace trireme {

namespace {

constexpr std::int64_t memory_interval_ns = 1'000'000'000;

RankActivity& activity_of(Communicator& replica, RankActivity& own) {
  RankActivity* const shared = replica.activity(replica.rank());
  return shared != nullptr ? *shared : own;
}

}  // namespace

StepMeter::StepMeter(Communicator& replica, int micro_batches)
    : replica_(replica),
      activity_(activity_of(replica, own_)),
      trace_(replica.trace()),
      micro_batches_(static_cast<std::uint32_t>(std::max(1, micro_batches))) {}

void StepMeter::loading() {
  record_ = {.begin_ns = monotonic_ns(), .kind = TraceKind::load};
  activity_.began_ns.store(record_.begin_ns, std::memory_order_relaxed);
}

void StepMeter::loaded(std::uint64_t weight_bytes, std::uint64_t multiply_adds_per_token,
                       std::uint64_t kv_blocks) {
  record_.end_ns = monotonic_ns();
  if (trace_ != nullptr) trace_->add(record_);
  RankActivity::set(activity_.weight_bytes, weight_bytes);
  RankActivity::set(activity_.multiply_adds_per_token, multiply_adds_per_token);
  RankActivity::set(activity_.kv_blocks, kv_blocks);
  note_memory(record_.end_ns);
  activity_.ready_ns.store(record_.end_ns, std::memory_order_relaxed);
}

void StepMeter::begin(std::uint64_t tokens, std::uint64_t sequences) {
  waited_before_ = replica_.waited_ns();
  waited_for_input_ = 0;
  record_ = {.begin_ns = monotonic_ns(),
             .kind = TraceKind::step,
             .step = steps_,
             .micro_batch = steps_ % micro_batches_,
             .tokens = static_cast<std::uint32_t>(tokens),
             .sequences = static_cast<std::uint32_t>(sequences)};
  ++steps_;
}

void StepMeter::input_arrived() { waited_for_input_ = replica_.waited_ns() - waited_before_; }

void StepMeter::end() {
  record_.end_ns = monotonic_ns();
  const auto length = static_cast<std::uint64_t>(record_.end_ns - record_.begin_ns);
  const std::uint64_t waited = std::min(length, replica_.waited_ns() - waited_before_);
  const std::uint64_t for_input = std::min(waited, waited_for_input_);
  record_.input_wait_ns = static_cast<std::int64_t>(for_input);
  record_.other_wait_ns = static_cast<std::int64_t>(waited - for_input);
  if (trace_ != nullptr) trace_->add(record_);
  RankActivity::add(activity_.busy_ns, length - waited);
  RankActivity::add(activity_.waited_ns, waited);
  RankActivity::add(activity_.steps, 1);
  RankActivity::add(activity_.tokens, record_.tokens);
  const int size = step_class(record_.tokens);
  RankActivity::add(activity_.step_count[size], 1);
  RankActivity::add(activity_.step_tokens[size], record_.tokens);
  if (record_.end_ns - memory_noted_ns_ > memory_interval_ns) note_memory(record_.end_ns);
}

void StepMeter::wait_begins() {
  record_ = {.begin_ns = monotonic_ns(),
             .kind = TraceKind::result,
             .step = results_,
             .micro_batch = results_ % micro_batches_};
}

void StepMeter::wait_ends() {
  record_.end_ns = monotonic_ns();
  if (trace_ != nullptr) trace_->add(record_);
  RankActivity::add(activity_.waited_ns,
                    static_cast<std::uint64_t>(record_.end_ns - record_.begin_ns));
  ++results_;
}

void StepMeter::note_memory(std::int64_t now) {
  const ResidentMemory memory = resident_memory();
  RankActivity::set(activity_.peak_bytes, memory.peak_bytes);
  RankActivity::set(activity_.shared_bytes, memory.shared_bytes);
  memory_noted_ns_ = now;
}

}  // namespace trireme
