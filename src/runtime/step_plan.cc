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

void check_targets(const StepSequence& sequence) {
  if (sequence.target_counts.empty()) return;
  std::int64_t total = 0;
  bool negative = false;
  for (const std::int32_t count : sequence.target_counts) {
    negative = negative || count < 0;
    total += count;
  }
  if (!negative && sequence.target_counts.size() == sequence.tokens.size() &&
      total == static_cast<std::int64_t>(sequence.targets.size())) {
    return;
  }
  fail(ErrorKind::peer_lost, "a step plan from another rank is damaged: {} targets for {} tokens",
       sequence.targets.size(), sequence.tokens.size());
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
  out.value(plan.encode);
  out.array(plan.copies);
  out.value<std::uint64_t>(plan.sequences.size());
  for (const StepSequence& sequence : plan.sequences) {
    out.value(sequence.position_begin);
    out.array(sequence.tokens);
    out.array(sequence.blocks);
    out.array(sequence.type_ids);
    out.array(sequence.features);
    out.array(sequence.source_blocks);
    out.value(sequence.source_tokens);
    out.value(sequence.sample);
    out.value(sequence.sampler);
    out.array(sequence.penalized);
    out.value(sequence.drafts);
    out.array(sequence.targets);
    out.array(sequence.target_counts);
    out.value(sequence.logits);
    out.array(sequence.logits_at);
    out.value(sequence.hidden);
  }
  return out.take();
}

StepPlan decode_plan(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  StepPlan plan;
  plan.stop = in.value<bool>();
  plan.encode = in.value<bool>();
  plan.copies = in.array<BlockCopy>();
  const auto count = in.value<std::uint64_t>();
  for (std::uint64_t i = 0; i < count; ++i) {
    StepSequence& sequence = plan.sequences.emplace_back();
    sequence.position_begin = in.value<std::int64_t>();
    sequence.tokens = in.array<std::int32_t>();
    sequence.blocks = in.array<std::int32_t>();
    sequence.type_ids = in.array<std::int32_t>();
    sequence.features = in.array<float>();
    sequence.source_blocks = in.array<std::int32_t>();
    sequence.source_tokens = in.value<std::int64_t>();
    sequence.sample = in.value<bool>();
    sequence.sampler = in.value<SamplerSettings>();
    sequence.penalized = in.array<std::int32_t>();
    sequence.drafts = in.value<std::int64_t>();
    check_drafts(sequence);
    sequence.targets = in.array<std::int32_t>();
    sequence.target_counts = in.array<std::int32_t>();
    check_targets(sequence);
    sequence.logits = in.value<bool>();
    sequence.logits_at = in.array<std::int32_t>();
    sequence.hidden = in.value<bool>();
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
    out.array(output.values);
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
    output.values = in.array<float>();
  }
  return result;
}

}  // namespace trireme
