// Scoring on a replica's driver: the log-probability of every token of given texts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "runtime/replica.h"
#include "tasks/prompts.h"
#include "tasks/sequences.h"
#include "trireme/result.h"

namespace trireme {

class Scorer : public SequenceOwner {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Score score;
  };

  /// What to do with a request's logits.
  struct Logits {
    bool keep = false;  ///< return them with the score
    /// Called with each step's: the first token's place in the text, and [tokens, vocab_size].
    std::function<void(std::int64_t first, std::span<const float> logits)> hear;
  };

  /// On the driver of `replica`.
  Scorer(Replica& replica, Sequences& sequences, const Prompts& prompts)
      : replica_(replica), sequences_(sequences), prompts_(prompts) {}

  /// The request's token ids, or what is wrong with it.
  Score tokenize(const Request& request) const;
  /// Scores the request's prompt; its sampling is not looked at. Throws Error(usage) when a request
  /// of this tag is unfinished.
  void submit(std::uint64_t tag, const Request& request, Logits logits);
  /// Drops an unfinished request, which will have no result; false when there is none.
  bool cancel(std::uint64_t tag);
  /// What has finished since the last call.
  std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  /// Requests submitted whose result has not been taken.
  std::int64_t unfinished() const {
    return static_cast<std::int64_t>(active_.size() + finished_.size());
  }

  void take(SequenceEvent& event) override;

 private:
  struct Active {
    std::uint64_t tag = 0;
    Score score;
    Logits logits;
  };

  void take_logits(Active& active, const SequenceEvent& event) const;

  Replica& replica_;
  Sequences& sequences_;
  const Prompts& prompts_;
  std::map<std::uint64_t, Active> active_;          ///< by number of the sequence
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< of the sequences, by tag
  std::vector<Finished> finished_;
};

}  // namespace trireme
