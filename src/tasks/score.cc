#include "tasks/score.h"

#include "core/error.h"

namespace trireme {

void Scorer::submit(std::uint64_t tag, const Request& request, bool logits) {
  if (numbers_.contains(tag)) {
    fail(ErrorKind::usage, "submit_score(): a request of tag {} is unfinished; choose another tag",
         tag);
  }
  try {
    start(tag, request, logits);
  } catch (const RequestFailure& failure) {
    finished_.push_back({tag, {.error = failure.error()}});
  }
}

void Scorer::start(std::uint64_t tag, const Request& request, bool logits) {
  Active active{.tag = tag};
  active.score.token_ids = prompts_.encode(request, std::nullopt);
  const auto length = static_cast<std::int64_t>(active.score.token_ids.size());
  if (length > replica_.max_sequence_tokens()) {
    throw RequestFailure("context_length_exceeded",
                         fmt::format("the text has {} tokens, the context {}", length,
                                     replica_.max_sequence_tokens()));
  }
  SequenceRequest sequence{.tokens = active.score.token_ids, .score = true, .logits = logits};
  const std::uint64_t number = sequences_.add(*this, std::move(sequence));
  active_.emplace(number, std::move(active));
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
  TRIREME_ASSERT(found != active_.end() && event.finished);
  auto& [tag, score] = found->second;
  score.logprobs = std::move(event.logprobs);
  score.logits = std::move(event.logits);
  for (const float logprob : score.logprobs) score.sum += static_cast<double>(logprob);
  numbers_.erase(tag);
  finished_.push_back({tag, std::move(score)});
  active_.erase(found);
}

}  // namespace trireme
