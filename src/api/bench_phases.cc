#include "api/bench_phases.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "core/error.h"
#include "runtime/sampler.h"

namespace trireme {

/// Time and steps since it was made.
class BenchPhases::Stopwatch {
 public:
  explicit Stopwatch(Replica& replica)
      : replica_(replica),
        steps_(replica.counters().steps),
        drafted_(replica.driver().scheduler().drafted()),
        accepted_(replica.driver().scheduler().accepted()) {}

  void read(BenchPhase& phase) const {
    phase.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    phase.processor_seconds = processor_seconds() - processor_;
    phase.steps = replica_.counters().steps - steps_;
    phase.drafted = replica_.driver().scheduler().drafted() - drafted_;
    phase.accepted = replica_.driver().scheduler().accepted() - accepted_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }

  Replica& replica_;
  std::int64_t steps_;
  std::int64_t drafted_;
  std::int64_t accepted_;
  double processor_ = processor_seconds();
  Clock::time_point start_ = Clock::now();
};

BenchPhases::BenchPhases(Replica& replica, const BenchOptions& options)
    : replica_(replica), options_(options), work_(replica.spec()) {}

/// Random tokens that depend on the sequence and the repetition alone, so that no two prompts share
/// a prefix in the cache.
TokenIds BenchPhases::prompt(std::int64_t sequence, int repetition) const {
  const auto vocabulary = static_cast<double>(replica_.spec().vocab_size);
  TokenIds tokens;
  for (std::int64_t position = 0; position < options_.prompt_tokens; ++position) {
    const double number =
        uniform(static_cast<std::uint64_t>(repetition), static_cast<std::uint64_t>(sequence),
                static_cast<std::uint64_t>(position));
    tokens.push_back(static_cast<std::int32_t>(number * vocabulary));
  }
  return tokens;
}

void BenchPhases::add(std::int64_t sequence, TokenIds tokens, std::int64_t new_tokens) {
  SequenceRequest request;
  request.id = static_cast<std::uint64_t>(sequence);
  request.tokens = std::move(tokens);
  request.max_new_tokens = new_tokens;
  replica_.driver().scheduler().add(std::move(request));
}

std::vector<SequenceEvent> BenchPhases::step() {
  std::vector<SequenceEvent> events = replica_.driver().step();
  for (const SequenceEvent& event : events) {
    TokenIds& tokens = generated_[static_cast<std::int64_t>(event.id)];
    tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
  }
  return events;
}

std::vector<float> BenchPhases::warm_up() {
  constexpr std::int64_t enough = 64;
  SequenceRequest request;
  request.tokens = prompt(options_.sequences, 0);  // as no other
  request.tokens.resize(static_cast<std::size_t>(std::min(enough, options_.prompt_tokens)));
  request.score = true;
  replica_.driver().scheduler().add(std::move(request));
  std::vector<float> logprobs;
  while (!replica_.driver().scheduler().idle()) {
    for (SequenceEvent& event : replica_.driver().step()) logprobs = std::move(event.logprobs);
  }
  return logprobs;
}

BenchPhase BenchPhases::prefill(const std::vector<std::int64_t>& sequences, int repetition) {
  BenchPhase phase;
  generated_.clear();
  for (const std::int64_t sequence : sequences) add(sequence, prompt(sequence, repetition), 1);
  const Stopwatch watch(replica_);
  while (!replica_.driver().scheduler().idle()) step();
  watch.read(phase);

  const auto count = static_cast<std::int64_t>(sequences.size());
  phase.tokens = count * options_.prompt_tokens;
  for (std::int64_t position = 0; position < options_.prompt_tokens; ++position) {
    phase.operations += static_cast<double>(count) * work_.layer_operations(position);
  }
  phase.operations += static_cast<double>(count) * work_.head_operations();
  // Only steps that end a prompt read the head.
  const auto with_head = static_cast<double>(std::min(phase.steps, count));
  phase.bytes = static_cast<double>(phase.steps) * work_.weight_bytes(false) +
                with_head * (work_.weight_bytes(true) - work_.weight_bytes(false));
  const std::int64_t chunk = std::min(options_.engine.max_step_tokens, options_.prompt_tokens);
  for (std::int64_t end = chunk; end < options_.prompt_tokens + chunk; end += chunk) {
    const std::int64_t last = std::min(end, options_.prompt_tokens) - 1;
    phase.bytes += static_cast<double>(count) * work_.cache_bytes(last);
  }
  return phase;
}

BenchPhase BenchPhases::decode(const std::vector<std::int64_t>& sequences, int repetition) {
  BenchPhase phase;
  if (sequences.empty() || options_.new_tokens < 2) return phase;
  for (const std::int64_t sequence : sequences) {
    TokenIds tokens = prompt(sequence, repetition);
    tokens.push_back(generated_.at(sequence).front());
    add(sequence, std::move(tokens), options_.new_tokens - 1);
  }
  // The prompts' keys and values are remembered; what is left of them passes before the clock
  // starts.
  std::size_t started = 0;
  const auto count_started = [&](const std::vector<SequenceEvent>& events) {
    for (const SequenceEvent& event : events) {
      // The prompt's step brought one token, this one at least another.
      const auto generated = generated_.at(static_cast<std::int64_t>(event.id)).size();
      started += generated - event.tokens.size() == 1 ? 1 : 0;
    }
  };
  const Scheduler& scheduler = replica_.driver().scheduler();
  while (started < sequences.size() && !scheduler.idle()) count_started(step());

  const Stopwatch watch(replica_);
  bool all_run = scheduler.running() == static_cast<std::int64_t>(sequences.size());
  while (all_run && !scheduler.idle()) {
    for (const SequenceEvent& event : step()) {
      const auto generated = generated_.at(static_cast<std::int64_t>(event.id)).size();
      // A token comes from the row of the one before it.
      const std::int64_t last = options_.prompt_tokens + static_cast<std::int64_t>(generated) - 2;
      const auto tokens = static_cast<std::int64_t>(event.tokens.size());
      phase.tokens += tokens;
      for (std::int64_t position = last - tokens + 1; position <= last; ++position) {
        phase.operations += work_.layer_operations(position) + work_.head_operations();
      }
      phase.bytes += work_.cache_bytes(last);
      all_run = all_run && !event.finished;
    }
    watch.read(phase);
  }
  phase.bytes += static_cast<double>(phase.steps) * work_.weight_bytes(true);
  while (!scheduler.idle()) step();
  return phase;
}

}  // namespace trireme
