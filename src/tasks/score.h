// Scoring on a replica's driver: the log-probability of every token of given texts.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "runtime/replica.h"
#include "tasks/prompts.h"
#include "trireme/result.h"

namespace trireme {

class Scorer {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Score score;
  };

  Scorer(Replica& replica, std::int64_t now);

  /// Scores the request's prompt; its sampling is not looked at. `logits`: return those too.
  void submit(std::uint64_t tag, const Request& request, bool logits);
  std::vector<Finished> step();
  bool idle() const { return active_.empty() && failed_.empty(); }
  std::int64_t unfinished() const { return static_cast<std::int64_t>(active_.size()); }

 private:
  Replica& replica_;
  Prompts prompts_;
  std::map<std::uint64_t, Score> active_;
  std::vector<Finished> failed_;
};

}  // namespace trireme
