// Rotary position embedding: the frequencies of each scaling method, as transformers computes them
// (modeling_rope_utils), turned into tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/layers.h"
#include "models/hf_config.h"

namespace trireme {

struct RopeConfig {
  std::string type = "default";  ///< default, linear, dynamic, llama3, yarn, frequency_factors
  double theta = 10000.0;
  double factor = 1.0;  ///< of the context's length
  std::int64_t rotary_dim = 0;
  std::int64_t original_max_positions = 0;
  // llama3
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  // yarn
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 1.0;  ///< multiplies cos and sin
  bool truncate = true;
  // frequency_factors, which only GGUF files have: each frequency is divided by its own
  std::vector<float> frequency_factors;
};

/// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (transformers 4).
RopeConfig read_rope(const HfConfig& config, std::int64_t head_dim, std::int64_t max_positions);

/// How long a sequence may get. transformers sets no limit, so this is vLLM's reading of a config:
/// linear scaling and YaRN stretch the context that the model was trained for `factor` times; a
/// longer max_position_embeddings stands. Llama 3's max_position_embeddings is stretched already;
/// dynamic scaling stays within it (see rope_frequencies).
std::int64_t usable_positions(const RopeConfig& rope, std::int64_t max_positions);

/// Angle per position of each pair of dimensions: [rotary_dim / 2].
std::vector<float> rope_frequencies(const RopeConfig& rope);

/// cos and sin of positions [0, positions), in the backend's memory.
RotaryTables rope_tables(const RopeConfig& rope, std::int64_t positions, const Backend& backend);

}  // namespace trireme
