// Where the time of a rank's steps goes: a few looks at the clock per step, none per kernel.
#pragma once

#include <cstdint>

#include "comm/communicator.h"
#include "core/rank_activity.h"
#include "core/trace.h"

namespace trireme {

class StepMeter {
 public:
  /// `replica`: keeps what is counted where others can read it, if it has such memory; must outlive
  /// the meter. `micro_batches`: steps in flight at once.
  StepMeter(Communicator& replica, int micro_batches);

  const RankActivity& activity() const { return activity_; }

  // Loading.
  void loading();
  /// `weight_bytes`: read by every step. The rest: see RankActivity.
  void loaded(std::uint64_t weight_bytes, std::uint64_t multiply_adds_per_token,
              std::uint64_t kv_blocks);

  // A step: begin, input once that is there, end.
  void begin(std::uint64_t tokens, std::uint64_t sequences);
  void input_arrived();
  void end();

  /// There may be no more steps.
  void pause() { note_memory(monotonic_ns()); }

  // The first rank's wait for the result of a step.
  void wait_begins();
  void wait_ends();
  /// On the first rank.
  void cache_in_use(std::uint64_t blocks) { RankActivity::set(activity_.kv_used, blocks); }

 private:
  void note_memory(std::int64_t now);

  Communicator& replica_;
  RankActivity own_{};  // where nobody else looks
  RankActivity& activity_;
  TraceRing* trace_;
  std::uint32_t micro_batches_;
  TraceRecord record_;  // of what is going on
  std::uint64_t waited_before_ = 0;
  std::uint64_t waited_for_input_ = 0;
  std::uint32_t steps_ = 0;
  std::uint32_t results_ = 0;
  std::int64_t memory_noted_ns_ = 0;
};

}  // namespace trireme
