// A rank without tensors for tests of the scheduler: the next token is a function of the tokens
// before it, read back from a simulated cache that step plans wrote.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/step_plan.h"

namespace trireme {

/// The token after these.
using FakeModel = std::function<std::int32_t(std::span<const std::int32_t>)>;

/// A hash of all tokens, below 1000: whatever is wrong anywhere shows.
inline std::int32_t hash_model(std::span<const std::int32_t> tokens) {
  std::uint32_t hash = 17;
  for (const std::int32_t token : tokens) hash = hash * 31 + static_cast<std::uint32_t>(token);
  return static_cast<std::int32_t>(hash % 1000);
}

/// What a sequence must be continued with.
inline std::vector<std::int32_t> expected_tokens(std::vector<std::int32_t> tokens,
                                                 std::int64_t count,
                                                 const FakeModel& model = hash_model) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(model(tokens));
    tokens.push_back(out.back());
  }
  return out;
}

/// Keeps what each cache block holds, as a rank would.
class FakeRank {
 public:
  explicit FakeRank(std::int64_t blocks, FakeModel model = hash_model)
      : cache_(static_cast<std::size_t>(blocks * block_tokens)), model_(std::move(model)) {}

  StepResult execute(const StepPlan& plan) {
    for (const BlockCopy& copy : plan.copies) {
      for (std::int64_t slot = 0; slot < block_tokens; ++slot) {
        slot_of(copy.to, slot) = slot_of(copy.from, slot);
      }
    }
    for (const StepSequence& s : plan.sequences) {
      for (std::size_t i = 0; i < s.tokens.size(); ++i) {
        write(s, s.position_begin + static_cast<std::int64_t>(i), s.tokens[i]);
      }
    }
    StepResult result;
    for (const StepSequence& s : plan.sequences) {
      SequenceOutput& output = result.emplace_back();
      const std::int64_t end = s.position_begin + static_cast<std::int64_t>(s.tokens.size());
      for (std::int64_t row = end - s.drafts; s.sample && row <= end; ++row) {
        if (goes_on(s, output)) output.tokens.push_back(next_token(s, row));
      }
      std::size_t target = 0;
      for (std::size_t i = 0; i < s.tokens.size() && !s.targets.empty(); ++i) {
        const std::int32_t next =
            next_token(s, s.position_begin + static_cast<std::int64_t>(i) + 1);
        const std::int32_t count = s.target_counts.empty() ? 1 : s.target_counts.at(i);
        for (std::int32_t j = 0; j < count; ++j, ++target) {
          if (s.targets.at(target) < 0) continue;
          output.logprobs.push_back(static_cast<float>(next - s.targets[target]));
        }
      }
    }
    return result;
  }

 private:
  static constexpr std::int64_t block_tokens = 32;

  std::int32_t& at(const StepSequence& s, std::int64_t position) {
    const auto block = static_cast<std::size_t>(position / block_tokens);
    return slot_of(s.blocks.at(block), position % block_tokens);
  }
  std::int32_t& slot_of(std::int32_t block, std::int64_t slot) {
    return cache_.at(static_cast<std::size_t>(block * block_tokens + slot));
  }
  /// As kv_write does, the first token of a block clears it.
  void write(const StepSequence& s, std::int64_t position, std::int32_t token) {
    if (position % block_tokens == 0) {
      for (std::int64_t slot = 0; slot < block_tokens; ++slot) at(s, position + slot) = 0;
    }
    at(s, position) = token;
  }
  std::int32_t next_token(const StepSequence& s, std::int64_t end) {
    std::vector<std::int32_t> tokens;
    for (std::int64_t p = 0; p < end; ++p) tokens.push_back(at(s, p));
    return model_(tokens);
  }

  std::vector<std::int32_t> cache_;
  FakeModel model_;
};

}  // namespace trireme
