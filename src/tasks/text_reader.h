// Whole texts on a replica's driver: each goes through the model once, and what the last block
// makes of it comes back. Vectors, labels and masked tokens are made of that.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "runtime/replica.h"
#include "tasks/prompts.h"
#include "tasks/sequences.h"
#include "text/encoding.h"
#include "trireme/result.h"

namespace trireme {

/// What the model made of a text.
struct Reading {
  Encoding text;
  std::vector<float> values;         ///< a vector, or logits over labels
  std::vector<float> logits;         ///< of the wanted tokens: [wanted, vocab_size]
  std::vector<std::int32_t> wanted;  ///< which tokens they are of
  bool truncated = false;
  std::optional<RequestError> error;

  std::int64_t tokens() const { return static_cast<std::int64_t>(text.ids.size()); }
};

class TextReader : public SequenceOwner {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Reading reading;
  };

  struct Settings {
    const char* call = "";    ///< "embed", for messages
    bool truncate = false;    ///< what a request that does not say means
    bool masks_only = false;  ///< logits of the mask tokens are wanted
  };

  /// On the driver of `replica`.
  TextReader(Replica& replica, Sequences& sequences, const Prompts& prompts, Settings settings)
      : replica_(replica), sequences_(sequences), prompts_(prompts), settings_(settings) {}

  /// Reads a text; what is wrong with it becomes its reading. Throws Error(usage) when a request of
  /// this tag is unfinished.
  void submit(std::uint64_t tag, const Request& request);
  /// What has finished since the last call.
  std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  /// Requests submitted whose reading has not been taken.
  std::int64_t unfinished() const {
    return static_cast<std::int64_t>(active_.size() + finished_.size());
  }

  /// Of all requests so far.
  std::int64_t prompt_tokens() const { return prompt_tokens_; }

  void take(SequenceEvent& event) override;

 private:
  struct Active {
    std::uint64_t tag = 0;
    Reading reading;
  };

  Reading encode(const Request& request) const;
  void find_masks(Reading& reading) const;
  std::int64_t limit() const;

  Replica& replica_;
  Sequences& sequences_;
  const Prompts& prompts_;
  Settings settings_;
  std::map<std::uint64_t, Active> active_;  ///< by number of the sequence
  std::map<std::uint64_t, std::uint64_t> numbers_;
  std::vector<Finished> finished_;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace trireme
