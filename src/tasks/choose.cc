#include "tasks/choose.h"

#include <algorithm>
#include <cmath>

#include "core/choices.h"
#include "core/error.h"

namespace trireme {

namespace {

/// log of the sum of what these are the logarithms of.
double log_sum(std::span<const float> logprobs, std::span<const std::int32_t> places) {
  double max = -INFINITY;
  for (const std::int32_t at : places) {
    max = std::max(max, static_cast<double>(logprobs[static_cast<std::size_t>(at)]));
  }
  double sum = 0;
  for (const std::int32_t at : places) {
    sum += std::exp(static_cast<double>(logprobs[static_cast<std::size_t>(at)]) - max);
  }
  return max + std::log(sum);
}

double logprob_of(const Continuations::Way& way, std::span<const float> logprobs) {
  double sum = 0;
  for (const std::int32_t at : way.steps) {
    sum += static_cast<double>(logprobs[static_cast<std::size_t>(at)]);
  }
  return way.ends.empty() ? sum : sum + log_sum(logprobs, way.ends);
}

std::vector<std::int32_t> distinct(std::vector<std::int32_t> ids, std::int64_t vocab_size) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::erase_if(ids, [&](std::int32_t id) { return id >= vocab_size; });
  return ids;
}

}  // namespace

Choice choice_of(const Continuations& labels, std::span<const float> logprobs) {
  TRIREME_ASSERT(logprobs.size() == labels.tree.targets.size());
  std::vector<double> values;
  for (const Continuations::Way& way : labels.ways) values.push_back(logprob_of(way, logprobs));
  const auto best = std::ranges::max_element(values);
  Choice choice;
  choice.label = best - values.begin();
  double sum = 0;
  for (const double value : values) sum += std::exp(value - *best);
  for (const double value : values) {
    choice.logprobs.push_back(static_cast<float>(value));
    choice.probabilities.push_back(static_cast<float>(std::exp(value - *best) / sum));
  }
  return choice;
}

Chooser::Chooser(Replica& replica, Sequences& sequences, const Prompts& prompts)
    : replica_(replica),
      sequences_(sequences),
      prompts_(prompts),
      defaults_(*replica.files().texts, replica.files().config),
      label_tokens_(prompts, distinct(defaults_.end_tokens(), replica.spec().vocab_size),
                    [&replica] { replica.ranks().heartbeat(); }) {
  prompts_.tokenizer();
  if (replica.spec().is_encoder_decoder()) {
    decoder_start_ = defaults_.answers_begin_with(replica.files().config, replica.spec());
  }
}

void Chooser::submit(std::uint64_t tag, const Request& request) {
  if (numbers_.contains(tag)) {
    fail(ErrorKind::usage, "submit_choice(): a request of tag {} is unfinished; choose another tag",
         tag);
  }
  try {
    start(tag, request);
  } catch (const RequestFailure& failure) {
    Choice choice;
    choice.error = failure.error();
    finished_.push_back({tag, std::move(choice)});
  }
}

void Chooser::start(std::uint64_t tag, const Request& request) {
  const std::string wrong = wrong_with_choices(request.choices);
  if (!wrong.empty()) throw RequestFailure("invalid_choices", wrong);
  SequenceRequest sequence;
  const LabelledPrompt prompt = take_prompt(request, sequence);
  const auto length = static_cast<std::int64_t>(sequence.tokens.size());
  if (length + prompt.longest > replica_.max_sequence_tokens()) {
    throw RequestFailure(
        "context_length_exceeded",
        fmt::format("the prompt has {} tokens and the longest label {}, but only {} fit the "
                    "context; shorten it, or raise --max-model-len if it is the limit",
                    length, prompt.longest, replica_.max_sequence_tokens()));
  }
  sequence.tree = std::shared_ptr<const TokenTree>(prompt.labels, &prompt.labels->tree);
  const auto read = static_cast<std::int64_t>(sequence.source.empty() ? sequence.tokens.size()
                                                                      : sequence.source.size());
  prompt_tokens_ += read;
  const std::uint64_t number = sequences_.add(*this, std::move(sequence));
  active_.emplace(number, Active{tag, prompt.labels, read});
  numbers_.emplace(tag, number);
}

LabelledPrompt Chooser::take_prompt(const Request& request, SequenceRequest& sequence) {
  if (replica_.spec().is_encoder_decoder()) {
    sequence.tokens = {decoder_start_};
    sequence.source = prompts_.encode_source(request, replica_.max_sequence_tokens());
    return label_tokens_.alone(request.choices);
  }
  LabelledPrompt prompt = label_tokens_.after(request, defaults_.bos_token());
  sequence.tokens = std::move(prompt.prompt);
  return prompt;
}

void Chooser::take(SequenceEvent& event) {
  const auto found = active_.find(event.id);
  TRIREME_ASSERT(found != active_.end() && event.finished);
  const Active& active = found->second;
  Choice choice = choice_of(*active.labels, event.logprobs);
  choice.prompt_tokens = active.prompt_tokens;
  numbers_.erase(active.tag);
  finished_.push_back({active.tag, std::move(choice)});
  active_.erase(found);
}

}  // namespace trireme
