// config.json's quantization_config: what checkpoints that were quantised by others say of
// themselves.
#pragma once

#include <memory>
#include <optional>

#include "models/hf_config.h"
#include "weights/model_files.h"
#include "weights/quantized_source.h"

namespace trireme {

/// Nothing if config.json has none. Throws Error(input) naming the key for a method, a number of
/// bits or a variant that Trireme cannot read.
std::optional<CheckpointQuantization> quantization_of(const HfConfig& config);

/// The weights of `files` as `config`, which is theirs, describes them. Throws Error(input).
std::unique_ptr<TensorSource> open_weights(const ModelFiles& files, const HfConfig& config);

}  // namespace trireme
