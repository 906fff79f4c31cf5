#include "batch/unknown_fields.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "batch/row_error.h"
#include "batch/sampling_fields.h"
#include "core/suggest.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;

const std::vector<std::string>& sampling_names() {
  static const std::vector<std::string> names{"max_new_tokens",
                                              "max_tokens",
                                              "max_completion_tokens",
                                              "do_sample",
                                              "ignore_eos",
                                              "temperature",
                                              "top_p",
                                              "top_k",
                                              "min_p",
                                              "repetition_penalty",
                                              "seed",
                                              "stop"};
  return names;
}

/// Of transformers, vLLM and llama.cpp. Names that a column of data may well have are not here.
constexpr std::array foreign_names{"num_beams",
                                   "num_return_sequences",
                                   "best_of",
                                   "use_beam_search",
                                   "length_penalty",
                                   "diversity_penalty",
                                   "penalty_alpha",
                                   "no_repeat_ngram_size",
                                   "min_new_tokens",
                                   "min_tokens",
                                   "stop_token_ids",
                                   "bad_words",
                                   "bad_words_ids",
                                   "force_words_ids",
                                   "suppress_tokens",
                                   "typical_p",
                                   "epsilon_cutoff",
                                   "eta_cutoff",
                                   "guided_json",
                                   "guided_regex",
                                   "guided_choice",
                                   "guided_grammar",
                                   "json_schema",
                                   "structured_outputs",
                                   "response_format",
                                   "prompt_logprobs",
                                   "top_logprobs",
                                   "repeat_penalty",
                                   "repeat_last_n",
                                   "n_predict",
                                   "mirostat",
                                   "dynatemp_range",
                                   "xtc_probability",
                                   "dry_multiplier",
                                   "assistant_model",
                                   "encoder_repetition_penalty",
                                   "allowed_token_ids",
                                   "logits_processors",
                                   "logprobs",
                                   "exponential_decay_length_penalty",
                                   "prompt_lookup_num_tokens"};

/// Fields of an OpenAI body besides the sampling parameters: read or refused elsewhere, or without
/// meaning for the answer.
constexpr std::array body_names{"model",
                                "messages",
                                "prompt",
                                "tools",
                                "choices",
                                "n",
                                "best_of",
                                "stream",
                                "stream_options",
                                "logprobs",
                                "echo",
                                "response_format",
                                "presence_penalty",
                                "frequency_penalty",
                                "logit_bias",
                                "chat_template_kwargs",
                                "user",
                                "metadata",
                                "store",
                                "service_tier",
                                "safety_identifier",
                                "prompt_cache_key",
                                "parallel_tool_calls"};
constexpr std::array embedding_names{"model", "input", "encoding_format", "dimensions", "user"};

/// As people who mix up spellings see it: "maxTokens", "max-tokens" and "max_tokens" are one.
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

/// The parameter that a key nearly names; empty if none. A short one must be the same but for its
/// spelling: "feed" and "top" are words of their own.
std::string nearly_named(std::string_view key) {
  constexpr std::size_t longest = 64;
  constexpr std::size_t long_enough = 8;
  if (key.size() > longest) return "";
  const auto means = [&](const std::string& name) {
    return plain(key) == plain(name) ||
           (name.size() >= long_enough && edit_distance(key, name) == 1);
  };
  const auto& names = sampling_names();
  if (std::ranges::find(names, key) != names.end()) return "";
  const auto found = std::ranges::find_if(names, means);
  return found == names.end() ? "" : *found;
}

template <typename Names>
bool is_one_of(std::string_view key, const Names& names) {
  return std::ranges::find(names, key) != names.end();
}

}  // namespace

void refuse_misspelled_sampling(const dom::object& row) {
  for (const dom::key_value_pair field : row) {
    if (is_one_of(field.key, foreign_names) && asks_for_something(field.value)) {
      bad_row("unsupported_field", "field \"{}\" is not supported; leave it out", field.key);
    }
    const std::string meant = nearly_named(field.key);
    if (meant.empty()) continue;
    bad_row("unknown_field",
            "field \"{}\" is unknown; if it is \"{}\" that is meant, write it so, else call it "
            "something else",
            field.key, meant);
  }
}

void refuse_unknown_body_fields(const dom::object& body, bool embedding) {
  for (const dom::key_value_pair field : body) {
    const std::string_view key = field.key;
    const bool known = embedding ? is_one_of(key, embedding_names)
                                 : is_one_of(key, body_names) || is_one_of(key, sampling_names());
    if (known || !asks_for_something(field.value)) continue;
    const std::string name(key.substr(0, 64));
    bad_row("unknown_field", "field \"{}\" of the body is unknown{}; leave it out", name,
            embedding ? "" : did_you_mean(name, sampling_names()));
  }
}

}  // namespace trireme
