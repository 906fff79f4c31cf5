// Choosing the next token from a row of logits, in the order in which transformers' generate()
// applies its processors: repetition penalty, temperature, top-k, top-p, min-p.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace trireme {

struct SamplerSettings {
  bool greedy = true;
  float temperature = 1.0f;
  std::int32_t top_k = 0;  ///< 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  std::uint64_t seed = 0;
  std::uint64_t row = 0;
  std::uint64_t position = 0;  ///< of the token to choose, in its sequence

  /// Whether the largest raw logit decides, so that no rank needs all logits.
  bool is_argmax() const { return greedy && repetition_penalty == 1.0f; }
};

/// A number in [0, 1) that depends on these three alone (counter-based: splitmix64 over the key).
double uniform(std::uint64_t seed, std::uint64_t row, std::uint64_t position);

/// The tokens that stay in the race with their probabilities, by ascending id. `logits` is changed.
/// `penalized`: distinct ids seen before, in any order.
std::vector<std::pair<std::int32_t, double>> distribution(std::span<float> logits,
                                                          const SamplerSettings& settings,
                                                          std::span<const std::int32_t> penalized);

/// The next token. Ties go to the lowest id. `logits` is changed.
std::int32_t choose(std::span<float> logits, const SamplerSettings& settings,
                    std::span<const std::int32_t> penalized);

}  // namespace trireme
