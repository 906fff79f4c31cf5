// Tensors of a checkpoint that the model built from its config.json does not read.
#pragma once

#include <string>
#include <vector>

#include "core/model_spec.h"
#include "weights/tensor_source.h"

namespace trireme {

/// Their names, but for those that every checkpoint of its kind may carry without need: rotary
/// frequencies, GPT-2's causal masks, a copy of a tied lm_head.
std::vector<std::string> unused_tensors(const ModelSpec& model, const TensorSource& source);

/// One line for the user that names the first few; empty if there are none.
std::string unused_tensors_warning(const ModelSpec& model, const TensorSource& source);

}  // namespace trireme
