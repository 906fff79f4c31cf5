#include "tasks/label_tokens.h"

#include <fmt/core.h>

#include <algorithm>

namespace trireme {

namespace {

bool begins_with(std::span<const std::int32_t> ids, std::span<const std::int32_t> beginning) {
  return ids.size() >= beginning.size() &&
         std::ranges::equal(ids.first(beginning.size()), beginning);
}

bool ends_with(std::span<const std::int32_t> ids, std::span<const std::int32_t> end) {
  return ids.size() >= end.size() && std::ranges::equal(ids.last(end.size()), end);
}

/// Where the last line begins that holds more than blanks.
std::size_t last_line(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return 0;
  const std::size_t line_end = text.rfind('\n', last);
  return line_end == std::string_view::npos ? 0 : line_end + 1;
}

}  // namespace

LabelledPrompt LabelTokens::alone(const std::vector<std::string>& labels) {
  return with_tree({}, known({}, {}, labels));
}

LabelledPrompt LabelTokens::after(const Request& request, std::optional<std::int32_t> bos_token) {
  std::vector<std::int32_t> ids = prompts_.encode(request, bos_token);
  if (request.token_ids) {
    LabelledPrompt prompt = alone(request.choices);
    prompt.prompt = std::move(ids);
    return prompt;
  }
  const bool special = request.prompt.has_value();
  std::string text = special ? *request.prompt : prompts_.render(request);
  std::span<const std::int32_t> end = ids;
  Known* labels = &known(base_of(text, special, end), end, request.choices);
  const std::size_t kept = text.find_last_not_of(' ') + 1;
  if (labels->all_fit || kept == text.size() || kept == 0) {
    return with_tree(std::move(ids), *labels);
  }
  // A label takes the space before it into its first token: the prompt's last spaces are its own.
  const std::string spaces = text.substr(kept);
  text.resize(kept);
  ids = prompts_.encode_plain(text, special);
  end = ids;
  Base base = base_of(text, special, end);
  base.before = spaces;
  labels = &known(std::move(base), end, request.choices);
  return with_tree(std::move(ids), *labels);
}

/// Of a prompt with several lines the last one is enough, where its tokens are the prompt's last:
/// no row is read once more for each label. `ids` become those of the base.
LabelTokens::Base LabelTokens::base_of(const std::string& text, bool special,
                                       std::span<const std::int32_t>& ids) const {
  const std::size_t begin = last_line(text);
  if (begin == 0) return {text, special, ""};
  Base line{text.substr(begin), false, ""};
  const std::vector<std::int32_t> tokens = prompts_.encode_plain(line.text, false);
  if (!ends_with(ids, tokens)) return {text, special, ""};
  ids = ids.last(tokens.size());
  return line;
}

LabelTokens::Known& LabelTokens::known(Base base, std::span<const std::int32_t> ids,
                                       const std::vector<std::string>& labels) {
  constexpr std::size_t most_known = 4;
  const auto found = std::ranges::find_if(
      known_, [&](const Known& one) { return one.base == base && one.labels == labels; });
  if (found != known_.end()) {
    known_.splice(known_.begin(), known_, found);
    return known_.front();
  }
  Known fresh{.base = std::move(base), .labels = labels};
  read(fresh, ids);
  known_.push_front(std::move(fresh));
  if (known_.size() > most_known) known_.pop_back();
  return known_.front();
}

void LabelTokens::read(Known& known, std::span<const std::int32_t> ids) const {
  constexpr std::size_t labels_at_once = 64;
  for (std::size_t i = 0; i < known.labels.size(); ++i) {
    if (i % labels_at_once == 0) idle_();
    const std::string label = known.base.before + known.labels[i];
    std::vector<std::int32_t> tokens =
        prompts_.encode_plain(known.base.text + label, known.base.special);
    if (begins_with(tokens, ids)) {
      tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(ids.size()));
    } else {
      known.all_fit = false;
      tokens = prompts_.encode_plain(label, false);
    }
    if (tokens.empty()) {
      throw RequestFailure("invalid_choices", fmt::format("label \"{}\" has no tokens: the model's "
                                                          "tokenizer makes nothing of it",
                                                          known.labels[i]));
    }
    known.longest = std::max(known.longest, static_cast<std::int64_t>(tokens.size()));
    known.tokens.push_back(std::move(tokens));
  }
}

LabelledPrompt LabelTokens::with_tree(std::vector<std::int32_t> prompt, Known& known) const {
  if (!known.tree) {
    known.tree = std::make_shared<const Continuations>(grow_tree(known.tokens, end_tokens_));
    known.tokens = {};
  }
  check_tree(known);
  return {std::move(prompt), known.tree, known.longest};
}

void LabelTokens::check_tree(const Known& known) const {
  if (known.tree->equal) {
    throw RequestFailure(
        "invalid_choices",
        fmt::format("labels \"{}\" and \"{}\" are the same tokens to this model; leave one out",
                    known.labels[known.tree->equal->first],
                    known.labels[known.tree->equal->second]));
  }
  if (known.tree->closed && end_tokens_.empty()) {
    throw RequestFailure(
        "invalid_choices",
        fmt::format("label \"{}\" begins another one, and the model names no end-of-sequence token "
                    "(eos_token_id) that would tell them apart; choose other words",
                    known.labels[*known.tree->closed]));
  }
}

}  // namespace trireme
