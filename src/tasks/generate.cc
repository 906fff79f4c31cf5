#include "tasks/generate.h"

#include "core/error.h"

namespace trireme {

Generator::Generator(Replica& replica, std::int64_t now)
    : replica_(replica),
      defaults_(replica.files().directory, replica.files().config),
      prompts_(replica.files().directory, replica.spec().vocab_size, now) {
  prompts_.tokenizer();  // a model without one fails here, not at the first request
}

void Generator::submit(std::uint64_t tag, const Request& request, OnText on_text) {
  try {
    start(tag, request, std::move(on_text));
  } catch (const RequestFailure& failure) {
    failed_.push_back({tag, {.finish_reason = FinishReason::error, .error = failure.error()}});
  }
}

void Generator::start(std::uint64_t tag, const Request& request, OnText on_text) {
  for (const std::string& stop : request.sampling.stop) {
    if (stop.empty()) throw RequestFailure("invalid_request", "a stop string is empty");
  }
  SequenceRequest sequence{.id = tag};
  sequence.tokens = prompts_.encode(request, defaults_.bos_token());
  const auto length = static_cast<std::int64_t>(sequence.tokens.size());
  const std::int64_t room = replica_.max_sequence_tokens() - length;
  if (room < 1) {
    throw RequestFailure(
        "context_length_exceeded",
        fmt::format("the prompt has {} tokens, but with at least one new token only {} fit the "
                    "context; shorten it, or raise --max-model-len if it is the limit",
                    length, replica_.max_sequence_tokens()));
  }
  ResolvedSampling sampling;
  try {
    sampling = defaults_.resolve(request, length, room);
  } catch (const Error& error) {
    throw RequestFailure("invalid_request", error.what());
  }
  sequence.sampler = sampling.sampler;
  sequence.max_new_tokens = sampling.max_new_tokens;
  sequence.end_tokens = std::move(sampling.end_tokens);
  const auto [it, fresh] =
      active_.try_emplace(tag, prompts_.tokenizer(), std::move(sampling.stop), std::move(on_text));
  TRIREME_ASSERT(fresh);
  it->second.result.prompt_tokens = length;
  prompt_tokens_ += length;
  replica_.driver().scheduler().add(std::move(sequence));
}

std::vector<Generator::Finished> Generator::step() {
  std::vector<Finished> finished = std::exchange(failed_, {});
  if (active_.empty()) return finished;
  for (const SequenceEvent& event : replica_.driver().step()) {
    const auto it = active_.find(event.id);
    TRIREME_ASSERT(it != active_.end());
    if (!take(it->second, event)) continue;
    if (!event.finished) replica_.driver().scheduler().cancel(event.id);
    finished.push_back({event.id, std::move(it->second.result)});
    active_.erase(it);
  }
  return finished;
}

/// Takes in one new token; true when the request is done.
bool Generator::take(Active& active, const SequenceEvent& event) {
  ++generated_tokens_;
  active.result.token_ids.push_back(event.token);
  // The token that ends a sequence is not part of its text, special or not.
  if (!event.ended_by_token) add_text(active, active.stop.push(active.decoder.push(event.token)));
  if (!active.stop.stopped() && event.finished) {
    add_text(active, active.stop.push(active.decoder.finish()));
  }
  if (active.stop.stopped() || event.ended_by_token) {
    add_text(active, active.stop.finish());
    active.result.finish_reason = FinishReason::stop;
    return true;
  }
  if (!event.finished) return false;
  add_text(active, active.stop.finish());
  active.result.finish_reason = FinishReason::length;
  return true;
}

void Generator::add_text(Active& active, std::string_view text) {
  if (text.empty()) return;
  active.result.text += text;
  if (active.on_text) active.on_text(text);
}

}  // namespace trireme
