#include "tasks/generation_defaults.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "tasks/unheeded_settings.h"

namespace trireme {

namespace {

constexpr std::int64_t default_new_tokens = 20;
constexpr std::int64_t default_top_k = 50;

// What a file and a request may say alike.
bool is_temperature(float value) { return std::isfinite(value) && value >= 0; }
bool is_top_k(std::int64_t value) { return value >= -1; }
bool is_top_p(float value) { return value > 0 && value <= 1; }
bool is_min_p(float value) { return value >= 0 && value <= 1; }
bool is_penalty(float value) { return std::isfinite(value) && value > 0; }
constexpr std::string_view temperature_range = "a number from 0 (greedy) up";
constexpr std::string_view top_k_range = "a positive number, or 0 or -1 for all";
constexpr std::string_view top_p_range = "a number above 0 and at most 1";
constexpr std::string_view min_p_range = "a number from 0 to 1";
constexpr std::string_view penalty_range = "a number above 0";

HfConfig read_generation_config(const ModelTexts& texts) {
  constexpr std::string_view name = "generation_config.json";
  return HfConfig::parse(texts.read(name).value_or("{}"), texts.where(name));
}

std::optional<std::int64_t> length(const HfConfig& config, std::string_view key) {
  const std::optional<std::int64_t> value = config.integer(key);
  if (value && *value < 1) config.reject(key, "an integer of at least 1");
  return value;
}

std::optional<float> number(const HfConfig& config, std::string_view key, bool (*allowed)(float),
                            std::string_view expected) {
  const std::optional<double> value = config.number(key);
  if (!value) return std::nullopt;
  const bool fits = std::abs(*value) <= double{std::numeric_limits<float>::max()};
  if (!fits || !allowed(static_cast<float>(*value))) config.reject(key, expected);
  return static_cast<float>(*value);
}

/// null switches it off, as in transformers; a key that is not there means its default.
std::optional<std::int64_t> read_top_k(const HfConfig& config) {
  if (config.is_null("top_k")) return 0;
  const std::optional<std::int64_t> value = config.integer("top_k");
  if (value && !is_top_k(*value)) config.reject("top_k", top_k_range);
  return value;
}

std::vector<std::int32_t> token_ids(const HfConfig& config, std::string_view key) {
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : config.integers(key)) {
    if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
      config.reject(key, "token ids");
    }
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

template <typename T>
std::optional<T> first(const std::optional<T>& a, const std::optional<T>& b) {
  return a ? a : b;
}

void require(bool condition, std::string_view field, double value, std::string_view expected) {
  if (!condition) fail(ErrorKind::input, "{} is {}; expected {}", field, value, expected);
}

/// Naming how to sample means wanting to sample.
bool asks_to_sample(const SamplingParams& p) {
  const bool top_k = p.top_k && *p.top_k > 0;  // to switch it off asks for nothing
  return (p.temperature && *p.temperature > 0) || (!p.temperature && (top_k || p.top_p || p.min_p));
}

}  // namespace

GenerationDefaults::GenerationDefaults(const ModelTexts& texts, const HfConfig& config) {
  const HfConfig generation = read_generation_config(texts);
  warning_ = unheeded_settings(generation);
  defaults_.max_new_tokens = length(generation, "max_new_tokens");
  defaults_.do_sample = generation.boolean("do_sample");
  defaults_.temperature = number(generation, "temperature", is_temperature, temperature_range);
  defaults_.top_k = read_top_k(generation);
  defaults_.top_p = number(generation, "top_p", is_top_p, top_p_range);
  defaults_.min_p = number(generation, "min_p", is_min_p, min_p_range);
  defaults_.repetition_penalty =
      number(generation, "repetition_penalty", is_penalty, penalty_range);
  max_length_ = length(generation, "max_length");
  end_tokens_ = token_ids(generation, "eos_token_id");
  if (end_tokens_.empty()) end_tokens_ = token_ids(config, "eos_token_id");
  std::vector<std::int32_t> bos = token_ids(generation, "bos_token_id");
  if (bos.empty()) bos = token_ids(config, "bos_token_id");
  if (!bos.empty()) bos_token_ = bos.front();
  std::vector<std::int32_t> start = token_ids(generation, "decoder_start_token_id");
  if (start.empty()) start = token_ids(config, "decoder_start_token_id");
  if (!start.empty()) decoder_start_token_ = start.front();
}

std::int32_t GenerationDefaults::answers_begin_with(const HfConfig& config,
                                                    const ModelSpec& model) const {
  const std::optional<std::int32_t> start = decoder_start_token_;
  if (start && *start >= 0 && *start < model.vocab_size) return *start;
  fail(ErrorKind::input,
       "{}: decoder_start_token_id is {}; expected the token that answers begin with",
       config.where(), start ? std::to_string(*start) : "missing");
}

std::int64_t GenerationDefaults::new_tokens(const SamplingParams& params,
                                            std::int64_t prompt_tokens) const {
  if (params.max_new_tokens) return *params.max_new_tokens;
  if (defaults_.max_new_tokens) return *defaults_.max_new_tokens;
  // transformers' own default for max_length, 20, counts as not given.
  if (max_length_ && *max_length_ != default_new_tokens) {
    return std::max<std::int64_t>(1, *max_length_ - prompt_tokens);
  }
  return default_new_tokens;
}

ResolvedSampling GenerationDefaults::resolve(const Request& request, std::int64_t prompt_tokens,
                                             std::int64_t room) const {
  const SamplingParams& asked = request.sampling;
  ResolvedSampling out;
  SamplerSettings& s = out.sampler;
  const bool sample = asked.do_sample ? *asked.do_sample
                      : asked.temperature && *asked.temperature == 0
                          ? false
                          : asks_to_sample(asked) || defaults_.do_sample.value_or(false);
  s.temperature = first(asked.temperature, defaults_.temperature).value_or(1.0f);
  require(is_temperature(s.temperature), "temperature", static_cast<double>(s.temperature),
          temperature_range);
  s.greedy = !sample || s.temperature == 0;
  const std::int64_t top_k = first(asked.top_k, defaults_.top_k).value_or(default_top_k);
  require(is_top_k(top_k), "top_k", static_cast<double>(top_k), top_k_range);
  s.top_k = static_cast<std::int32_t>(
      std::clamp<std::int64_t>(top_k, 0, std::numeric_limits<std::int32_t>::max()));
  s.top_p = first(asked.top_p, defaults_.top_p).value_or(1.0f);
  require(is_top_p(s.top_p), "top_p", static_cast<double>(s.top_p), top_p_range);
  s.min_p = first(asked.min_p, defaults_.min_p).value_or(0.0f);
  require(is_min_p(s.min_p), "min_p", static_cast<double>(s.min_p), min_p_range);
  s.repetition_penalty =
      first(asked.repetition_penalty, defaults_.repetition_penalty).value_or(1.0f);
  require(is_penalty(s.repetition_penalty), "repetition_penalty",
          static_cast<double>(s.repetition_penalty), penalty_range);
  s.seed = asked.seed.value_or(0);
  s.row = request.row;

  out.max_new_tokens = new_tokens(asked, prompt_tokens);
  require(out.max_new_tokens >= 1, "max_new_tokens", static_cast<double>(out.max_new_tokens),
          "at least 1");
  out.max_new_tokens = std::min(out.max_new_tokens, room);
  if (!asked.ignore_eos.value_or(false)) out.end_tokens = end_tokens_;
  out.stop = asked.stop;
  return out;
}

}  // namespace trireme
