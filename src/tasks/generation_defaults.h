// What a request that leaves something open means: generation_config.json first, then the defaults
// of transformers' generate().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/model_spec.h"
#include "core/model_texts.h"
#include "models/hf_config.h"
#include "runtime/sampler.h"
#include "trireme/request.h"

namespace trireme {

/// One request's settings with nothing left open.
struct ResolvedSampling {
  SamplerSettings sampler;
  std::int64_t max_new_tokens = 0;
  std::vector<std::int32_t> end_tokens;
  std::vector<std::string> stop;
};

class GenerationDefaults {
 public:
  /// Reads generation_config.json, if the model has one; end-of-sequence ids come from there or
  /// from config.json. Throws Error(input) naming file, key and allowed range for a value that
  /// cannot be used.
  GenerationDefaults(const ModelTexts& texts, const HfConfig& config);

  /// Throws Error(input) naming the field that is out of range. `room`: tokens that still fit after
  /// the prompt of `prompt_tokens`.
  ResolvedSampling resolve(const Request& request, std::int64_t prompt_tokens,
                           std::int64_t room) const;

  const std::vector<std::int32_t>& end_tokens() const { return end_tokens_; }
  std::optional<std::int32_t> bos_token() const { return bos_token_; }
  /// What the decoder of `model`, which has a source, begins with. Throws Error(input) where
  /// neither file says so.
  std::int32_t answers_begin_with(const HfConfig& config, const ModelSpec& model) const;
  /// The file says how long an answer may get.
  bool says_how_long() const { return defaults_.max_new_tokens || max_length_; }
  /// A line about what the file asks for and does not get; usually empty.
  const std::string& warning() const { return warning_; }

 private:
  std::int64_t new_tokens(const SamplingParams& params, std::int64_t prompt_tokens) const;

  SamplingParams defaults_;
  std::optional<std::int64_t> max_length_;
  std::vector<std::int32_t> end_tokens_;
  std::optional<std::int32_t> bos_token_;
  std::optional<std::int32_t> decoder_start_token_;
  std::string warning_;
};

}  // namespace trireme
