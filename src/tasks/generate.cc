#include "tasks/generate.h"

#include "core/error.h"

namespace trireme {

Generator::Generator(Replica& replica, Sequences& sequences, const Prompts& prompts)
    : replica_(replica),
      sequences_(sequences),
      prompts_(prompts),
      defaults_(*replica.files().texts, replica.files().config) {
  prompts_.tokenizer();  // a model without one fails here, not at the first request
  if (replica.spec().is_encoder_decoder()) {
    decoder_start_ = defaults_.answers_begin_with(replica.files().config, replica.spec());
  }
}

void Generator::submit(std::uint64_t tag, const Request& request, OnText on_text) {
  if (numbers_.contains(tag)) {
    fail(ErrorKind::usage, "submit(): a request of tag {} is unfinished; choose another tag", tag);
  }
  try {
    start(tag, request, std::move(on_text));
  } catch (const RequestFailure& failure) {
    finished_.push_back({tag, {.finish_reason = FinishReason::error, .error = failure.error()}});
  }
}

void Generator::start(std::uint64_t tag, const Request& request, OnText on_text) {
  for (const std::string& stop : request.sampling.stop) {
    if (stop.empty()) throw RequestFailure("invalid_request", "a stop string is empty");
  }
  SequenceRequest sequence;
  const std::int64_t prompt_tokens = take_prompt(request, sequence);
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
  const std::uint64_t number = sequences_.add(*this, std::move(sequence));
  numbers_.emplace(tag, number);
  Active& active =
      active_.try_emplace(number, prompts_.tokenizer(), std::move(sampling.stop)).first->second;
  active.tag = tag;
  active.on_text = std::move(on_text);
  active.result.prompt_tokens = prompt_tokens;
  prompt_tokens_ += prompt_tokens;
}

/// What the model reads before it writes: its own text's beginning, or with an encoder a source.
std::int64_t Generator::take_prompt(const Request& request, SequenceRequest& sequence) const {
  if (!replica_.spec().is_encoder_decoder()) {
    sequence.tokens = prompts_.encode(request, defaults_.bos_token());
    return static_cast<std::int64_t>(sequence.tokens.size());
  }
  sequence.tokens = {decoder_start_};
  sequence.source = prompts_.encode_source(request, replica_.max_sequence_tokens());
  return static_cast<std::int64_t>(sequence.source.size());
}

bool Generator::cancel(std::uint64_t tag) {
  const auto found = numbers_.find(tag);
  if (found == numbers_.end()) return false;
  const std::uint64_t number = found->second;
  sequences_.cancel(number);
  numbers_.erase(found);
  // Whoever cancels a request while it is told of its text stands on that request.
  if (told_ == number) {
    active_.at(number).cancelled = true;
  } else {
    active_.erase(number);
  }
  return true;
}

void Generator::take(SequenceEvent& event) {
  const auto found = active_.find(event.id);
  TRIREME_ASSERT(found != active_.end());
  Active& active = found->second;
  told_ = event.id;
  const bool done = take_tokens(active, event);
  told_.reset();
  if (!done && !active.cancelled) return;
  if (!active.cancelled) {
    if (!event.finished) sequences_.cancel(event.id);
    numbers_.erase(active.tag);
    finished_.push_back({active.tag, std::move(active.result)});
  }
  active_.erase(found);
}

/// Takes in new tokens, up to the one at which the request is done or cancelled; true when done.
bool Generator::take_tokens(Active& active, const SequenceEvent& event) {
  for (const std::int32_t& token : event.tokens) {
    const bool last = &token == &event.tokens.back();
    if (take_token(active, token, last && event.finished, last && event.ended_by_token))
      return true;
    if (active.cancelled) return false;
  }
  return false;
}

bool Generator::take_token(Active& active, std::int32_t token, bool finished, bool ended_by_token) {
  ++generated_tokens_;
  active.result.token_ids.push_back(token);
  // The token that ends a sequence is not part of its text, special or not.
  if (!ended_by_token) add_text(active, active.stop.push(active.decoder.push(token)));
  if (!active.stop.stopped() && finished) {
    add_text(active, active.stop.push(active.decoder.finish()));
  }
  if (active.stop.stopped() || ended_by_token) {
    add_text(active, active.stop.finish());
    active.result.finish_reason = FinishReason::stop;
    return true;
  }
  if (!finished) return false;
  add_text(active, active.stop.finish());
  active.result.finish_reason = FinishReason::length;
  return true;
}

void Generator::add_text(Active& active, std::string_view text) {
  if (text.empty()) return;
  active.result.text += text;
  if (active.on_text && !active.cancelled) active.on_text(text);
}

}  // namespace trireme
