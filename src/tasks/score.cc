#include "tasks/score.h"

#include "core/error.h"

namespace trireme {

Scorer::Scorer(Replica& replica, std::int64_t now)
    : replica_(replica), prompts_(replica.files().directory, replica.spec().vocab_size, now) {}

void Scorer::submit(std::uint64_t tag, const Request& request, bool logits) {
  try {
    Score score;
    score.token_ids = prompts_.encode(request, std::nullopt);
    const auto length = static_cast<std::int64_t>(score.token_ids.size());
    if (length > replica_.max_sequence_tokens()) {
      throw RequestFailure("context_length_exceeded",
                           fmt::format("the text has {} tokens, the context {}", length,
                                       replica_.max_sequence_tokens()));
    }
    SequenceRequest sequence{.id = tag, .tokens = score.token_ids, .score = true};
    sequence.logits = logits;
    active_.emplace(tag, std::move(score));
    replica_.driver().scheduler().add(std::move(sequence));
  } catch (const RequestFailure& failure) {
    failed_.push_back({tag, {.error = failure.error()}});
  }
}

std::vector<Scorer::Finished> Scorer::step() {
  std::vector<Finished> finished = std::exchange(failed_, {});
  if (active_.empty()) return finished;
  for (SequenceEvent& event : replica_.driver().step()) {
    const auto it = active_.find(event.id);
    TRIREME_ASSERT(it != active_.end() && event.finished);
    Score& score = it->second;
    score.logprobs = std::move(event.logprobs);
    score.logits = std::move(event.logits);
    for (const float logprob : score.logprobs) score.sum += static_cast<double>(logprob);
    finished.push_back({event.id, std::move(score)});
    active_.erase(it);
  }
  return finished;
}

}  // namespace trireme
