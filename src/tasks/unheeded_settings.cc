#include "tasks/unheeded_settings.h"

#include <fmt/core.h>

#include <charconv>

namespace trireme {

namespace {

struct Setting {
  std::string_view key;
  double neutral = 0;  ///< the number that changes nothing, as null, false and [] always do
};

/// Of transformers' GenerationConfig, 4.57 and 5. Left out: what only tells beams apart
/// (length_penalty), how fast the same text comes (use_cache, assistants) and what is returned
/// beside it (output_scores).
constexpr Setting settings[] = {
    {"num_beams", 1},
    {"num_beam_groups", 1},
    {"num_return_sequences", 1},
    {"penalty_alpha"},
    {"dola_layers"},
    {"min_length"},
    {"min_new_tokens"},
    {"max_time"},
    {"stop_strings"},
    {"typical_p", 1},
    {"epsilon_cutoff"},
    {"eta_cutoff"},
    {"top_h"},
    {"no_repeat_ngram_size"},
    {"encoder_no_repeat_ngram_size"},
    {"encoder_repetition_penalty", 1},
    {"exponential_decay_length_penalty"},
    {"bad_words_ids"},
    {"force_words_ids"},
    {"constraints"},
    {"forced_bos_token_id", -1},
    {"forced_eos_token_id", -1},
    {"forced_decoder_ids"},
    {"suppress_tokens"},
    {"begin_suppress_tokens"},
    {"sequence_bias"},
    {"guidance_scale", 1},
    {"token_healing"},
    {"watermarking_config"},
};

bool changes_nothing(const std::string& json, double neutral) {
  if (json == "null" || json == "false" || json == "[]" || json == "{}") return true;
  double value = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
  return error == std::errc() && end == json.data() + json.size() && value == neutral;
}

std::string shortened(std::string json) {
  constexpr std::size_t longest = 40;
  return json.size() <= longest ? json : json.substr(0, longest) + "...";
}

}  // namespace

std::string unheeded_settings(const HfConfig& generation) {
  std::string found;
  for (const Setting& setting : settings) {
    const std::string json = generation.text_of(setting.key);
    if (changes_nothing(json, setting.neutral)) continue;
    found += fmt::format("{}{} is {}", found.empty() ? "" : ", ", setting.key, shortened(json));
  }
  if (found.empty()) return "";
  return fmt::format(
      "{}: {}: Trireme does not do this, so its answers can differ from those of transformers; it "
      "goes on as if it were not there",
      generation.where(), found);
}

}  // namespace trireme
