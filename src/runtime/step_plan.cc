#include "runtime/step_plan.h"

#include "core/bytes.h"

namespace trireme {

namespace {

void check_drafts(const StepSequence& sequence) {
  const auto rows = static_cast<std::int64_t>(sequence.tokens.size());
  if (sequence.drafts == 0) return;
  if (sequence.drafts > 0 && sequence.drafts < rows && sequence.sample) return;
  fail(ErrorKind::peer_lost, "a step plan from another rank is damaged: {} drafts of {} tokens",
       sequence.drafts, rows);
}

}  // namespace

std::int64_t StepPlan::rows() const {
  std::int64_t total = 0;
  for (const StepSequence& sequence : sequences) {
    total += static_cast<std::int64_t>(sequence.tokens.size());
  }
  return total;
}

bool goes_on(const StepSequence& sequence, const SequenceOutput& output) {
  const std::size_t chosen = output.tokens.size();
  if (chosen == 0) return true;
  const auto drafts = static_cast<std::size_t>(sequence.drafts);
  return chosen <= drafts &&
         output.tokens.back() == sequence.tokens[sequence.tokens.size() - drafts + chosen - 1];
}

Message encode(const StepPlan& plan) {
  ByteWriter out;
  out.value(plan.stop);
  out.value<std::uint64_t>(plan.sequences.size());
  for (const StepSequence& sequence : plan.sequences) {
    out.value(sequence.position_begin);
    out.array(sequence.tokens);
    out.array(sequence.blocks);
    out.value(sequence.sample);
    out.value(sequence.sampler);
    out.array(sequence.penalized);
    out.value(sequence.drafts);
    out.array(sequence.targets);
    out.value(sequence.logits);
  }
  return out.take();
}

StepPlan decode_plan(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  StepPlan plan;
  plan.stop = in.value<bool>();
  const auto count = in.value<std::uint64_t>();
  for (std::uint64_t i = 0; i < count; ++i) {
    StepSequence& sequence = plan.sequences.emplace_back();
    sequence.position_begin = in.value<std::int64_t>();
    sequence.tokens = in.array<std::int32_t>();
    sequence.blocks = in.array<std::int32_t>();
    sequence.sample = in.value<bool>();
    sequence.sampler = in.value<SamplerSettings>();
    sequence.penalized = in.array<std::int32_t>();
    sequence.drafts = in.value<std::int64_t>();
    check_drafts(sequence);
    sequence.targets = in.array<std::int32_t>();
    sequence.logits = in.value<bool>();
  }
  return plan;
}

Message encode(const StepResult& result) {
  ByteWriter out;
  out.value<std::uint64_t>(result.size());
  for (const SequenceOutput& output : result) {
    out.array(output.tokens);
    out.array(output.logprobs);
    out.array(output.logits);
  }
  return out.take();
}

StepResult decode_result(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  StepResult result;
  const auto count = in.value<std::uint64_t>();
  for (std::uint64_t i = 0; i < count; ++i) {
    SequenceOutput& output = result.emplace_back();
    output.tokens = in.array<std::int32_t>();
    output.logprobs = in.array<float>();
    output.logits = in.array<float>();
  }
  return result;
}

}  // namespace trireme
