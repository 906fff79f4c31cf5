// A model as a function, row by row of a batch: what it computes of given tokens or numbers,
// without any reading of texts.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "runtime/replica.h"
#include "tasks/sequences.h"

namespace trireme {

/// One row of a batch, without its padding.
struct ModelRow {
  std::vector<std::int32_t> ids;       ///< of an encoder-decoder model the decoder's
  std::vector<std::int32_t> type_ids;  ///< or empty
  std::vector<std::int32_t> source;
  std::vector<float> features;  ///< [rows, hidden_size], in place of ids
  std::vector<float> source_features;

  std::int64_t tokens(std::int64_t hidden_size) const {
    const std::size_t width = static_cast<std::size_t>(hidden_size);
    return static_cast<std::int64_t>(features.empty() ? ids.size() : features.size() / width);
  }
};

/// A causal classifier reads its answer off the last token that is no padding, as transformers
/// does; what stands behind it cannot change it. Of other models nothing is dropped.
void drop_padding_at_the_end(const Replica& replica, std::vector<std::int32_t>& ids);

class ModelRows : public SequenceOwner {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    /// Logits [tokens, vocab_size] or [labels], or hidden states [tokens, hidden_size].
    std::vector<float> values;
  };

  /// On the driver of `replica`.
  ModelRows(Replica& replica, Sequences& sequences) : replica_(replica), sequences_(sequences) {}

  /// `tag`: that no other unfinished row has.
  void submit(std::uint64_t tag, const ModelRow& row);
  /// What has finished since the last call.
  std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  std::int64_t unfinished() const {
    return static_cast<std::int64_t>(active_.size() + finished_.size());
  }

  void take(SequenceEvent& event) override;

 private:
  SequenceRequest request_of(const ModelRow& row) const;

  Replica& replica_;
  Sequences& sequences_;
  std::map<std::uint64_t, Finished> active_;  ///< by number of the sequence
  std::vector<Finished> finished_;
};

}  // namespace trireme
