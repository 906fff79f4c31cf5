// The config.json of the model in a GGUF file, from its metadata and its tensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weights/gguf_format.h"

namespace trireme {

/// What a config is made from.
struct GgufContents {
  const GgufMetadata& metadata;
  std::map<std::string_view, const GgufTensor*> tensors;
  std::vector<float> rope_factors;  ///< of rope_freqs.weight, empty where that is not there

  const GgufTensor* find(std::string_view name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : found->second;
  }
};

/// Throws Error(input) naming the file and the key for an architecture that Trireme does not run,
/// and for what is missing or cannot be said in a config.json.
std::string gguf_config_json(const GgufContents& contents);

}  // namespace trireme
