#include "tasks/text_reader.h"

#include <algorithm>

#include "core/error.h"
#include "tasks/model_rows.h"

namespace trireme {

namespace {

void check_types(const ModelSpec& model, const Encoding& text) {
  if (model.token_types == 0) return;
  for (const std::int32_t type : text.type_ids) {
    if (type >= 0 && type < model.token_types) continue;
    throw RequestFailure(
        "invalid_prompt",
        fmt::format("a token is of type {}, the model knows {} (type_vocab_size); do the tokenizer "
                    "and the model belong together?",
                    type, model.token_types));
  }
}

}  // namespace

std::int64_t TextReader::limit() const {
  const std::int64_t own = replica_.spec().max_input_tokens;
  const std::int64_t most = replica_.max_sequence_tokens();
  return own > 0 ? std::min(own, most) : most;
}

Reading TextReader::encode(const Request& request) const {
  Reading reading;
  reading.text = prompts_.encode_text(request);
  const auto most = static_cast<std::size_t>(limit());
  if (reading.text.ids.size() > most) {
    if (!request.truncate.value_or(settings_.truncate)) {
      throw RequestFailure(
          "context_length_exceeded",
          fmt::format("the text has {} tokens, the model reads {}; shorten it, or let it be cut "
                      "with --truncate",
                      reading.text.ids.size(), most));
    }
    reading.text = prompts_.encode_text(request, most);
    reading.truncated = true;
  }
  check_types(replica_.spec(), reading.text);
  drop_padding_at_the_end(replica_, reading.text.ids);
  reading.text.type_ids.resize(reading.text.ids.size());
  if (settings_.masks_only) find_masks(reading);
  return reading;
}

void TextReader::find_masks(Reading& reading) const {
  const std::int32_t mask = prompts_.mask_token();
  for (std::size_t i = 0; i < reading.text.ids.size(); ++i) {
    if (reading.text.ids[i] == mask) reading.wanted.push_back(static_cast<std::int32_t>(i));
  }
  if (!reading.wanted.empty()) return;
  throw RequestFailure("no_mask",
                       fmt::format("the text has no {}, which stands for the token to find{}",
                                   prompts_.tokenizer().id_to_token(mask).value_or("mask token"),
                                   reading.truncated ? " (it was cut)" : ""));
}

void TextReader::submit(std::uint64_t tag, const Request& request) {
  if (numbers_.contains(tag)) {
    fail(ErrorKind::usage, "{}(): a request of tag {} is unfinished; choose another tag",
         settings_.call, tag);
  }
  const ModelSpec& model = replica_.spec();
  Reading reading;
  try {
    reading = encode(request);
  } catch (const RequestFailure& failure) {
    finished_.push_back({tag, {.error = failure.error()}});
    return;
  }
  SequenceRequest sequence{.tokens = reading.text.ids, .whole = true};
  if (model.token_types > 1) sequence.type_ids = reading.text.type_ids;
  sequence.logits_at = reading.wanted;
  prompt_tokens_ += reading.tokens();
  const std::uint64_t number = sequences_.add(*this, std::move(sequence));
  active_.emplace(number, Active{tag, std::move(reading)});
  numbers_.emplace(tag, number);
}

void TextReader::take(SequenceEvent& event) {
  const auto found = active_.find(event.id);
  TRIREME_ASSERT(found != active_.end() && event.finished);
  Active& active = found->second;
  active.reading.values = std::move(event.values);
  active.reading.logits = std::move(event.logits);
  numbers_.erase(active.tag);
  finished_.push_back({active.tag, std::move(active.reading)});
  active_.erase(found);
}

}  // namespace trireme
