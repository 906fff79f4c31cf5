// Scoring on a replica's driver: the log-probability of every token of given texts.
#pragma once

#include <cstdint>
#include <map>
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

  /// On the driver of `replica`.
  Scorer(Replica& replica, Sequences& sequences, const Prompts& prompts)
      : replica_(replica), sequences_(sequences), prompts_(prompts) {}

  /// Scores the request's prompt; its sampling is not looked at. `logits`: return those too. Throws
  /// Error(usage) when a request of this tag is unfinished.
  void submit(std::uint64_t tag, const Request& request, bool logits);
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
  };

  void start(std::uint64_t tag, const Request& request, bool logits);

  Replica& replica_;
  Sequences& sequences_;
  const Prompts& prompts_;
  std::map<std::uint64_t, Active> active_;          ///< by number of the sequence
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< of the sequences, by tag
  std::vector<Finished> finished_;
};

}  // namespace trireme
