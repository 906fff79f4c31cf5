#include "tasks/score.h"

#include "core/error.h"

namespace trireme {

Score Scorer::tokenize(const Request& request) const {
  Score score;
  try {
    score.token_ids = prompts_.encode(request, std::nullopt);
    const auto length = static_cast<std::int64_t>(score.token_ids.size());
    if (length > replica_.max_sequence_tokens()) {
      throw RequestFailure("context_length_exceeded",
                           fmt::format("the text has {} tokens, the context {}", length,
                                       replica_.max_sequence_tokens()));
    }
    return score;
  } catch (const RequestFailure& failure) {
    return {.error = failure.error()};
  }
}

void Scorer::submit(std::uint64_t tag, const Request& request, Logits logits) {
  if (numbers_.contains(tag)) {
    fail(ErrorKind::usage, "submit_score(): a request of tag {} is unfinished; choose another tag",
         tag);
  }
  Score score = tokenize(request);
  if (score.error) {
    finished_.push_back({tag, std::move(score)});
    return;
  }
  SequenceRequest sequence{.tokens = score.token_ids, .score = true};
  sequence.logits = logits.keep || logits.hear;
  const std::uint64_t number = sequences_.add(*this, std::move(sequence));
  active_.emplace(number, Active{tag, std::move(score), std::move(logits)});
  numbers_.emplace(tag, number);
}

bool Scorer::cancel(std::uint64_t tag) {
  const auto found = numbers_.find(tag);
  if (found == numbers_.end()) return false;
  sequences_.cancel(found->second);
  active_.erase(found->second);
  numbers_.erase(found);
  return true;
}

void Scorer::take(SequenceEvent& event) {
  const auto found = active_.find(event.id);
  TRIREME_ASSERT(found != active_.end());
  Active& active = found->second;
  if (!event.logits.empty()) take_logits(active, event);
  if (!event.finished) return;
  active.score.logprobs = std::move(event.logprobs);
  for (const float logprob : active.score.logprobs) {
    active.score.sum += static_cast<double>(logprob);
  }
  numbers_.erase(active.tag);
  finished_.push_back({active.tag, std::move(active.score)});
  active_.erase(found);
}

void Scorer::take_logits(Active& active, const SequenceEvent& event) const {
  if (active.logits.hear) active.logits.hear(event.first_logits, event.logits);
  if (!active.logits.keep) return;
  std::vector<float>& all = active.score.logits;
  all.resize(static_cast<std::size_t>(event.first_logits * replica_.spec().vocab_size));
  all.insert(all.end(), event.logits.begin(), event.logits.end());
}

}  // namespace trireme
