// Choosing on a replica's driver: which of given labels a prompt goes on with, and how likely each
// is.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/replica.h"
#include "tasks/generation_defaults.h"
#include "tasks/label_tokens.h"
#include "tasks/prompts.h"
#include "tasks/sequences.h"
#include "trireme/result.h"

namespace trireme {

/// `logprobs`: of the tree's targets.
Choice choice_of(const Continuations& labels, std::span<const float> logprobs);

class Chooser : public SequenceOwner {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Choice choice;
  };

  /// On the driver of `replica`. Throws as Generator does.
  Chooser(Replica& replica, Sequences& sequences, const Prompts& prompts);

  /// Chooses among the request's labels; what is wrong with it becomes its choice. Throws
  /// Error(usage) when a request of this tag is unfinished.
  void submit(std::uint64_t tag, const Request& request);
  /// What has finished since the last call.
  std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  /// Requests submitted whose choice has not been taken.
  std::int64_t unfinished() const {
    return static_cast<std::int64_t>(active_.size() + finished_.size());
  }

  /// Of all requests so far.
  std::int64_t prompt_tokens() const { return prompt_tokens_; }

  void take(SequenceEvent& event) override;

 private:
  struct Active {
    std::uint64_t tag = 0;
    std::shared_ptr<const Continuations> labels;
    std::int64_t prompt_tokens = 0;
  };

  void start(std::uint64_t tag, const Request& request);
  LabelledPrompt take_prompt(const Request& request, SequenceRequest& sequence);

  Replica& replica_;
  Sequences& sequences_;
  const Prompts& prompts_;
  GenerationDefaults defaults_;
  std::int32_t decoder_start_ = 0;  ///< of an encoder-decoder model
  LabelTokens label_tokens_;
  std::map<std::uint64_t, Active> active_;          ///< by number of the sequence
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< of the sequences, by tag
  std::vector<Finished> finished_;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace trireme
