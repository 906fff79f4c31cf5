// A parameter's tensor in a checkpoint: found, and of the shape that config.json says.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model_spec.h"
#include "weights/tensor_source.h"

namespace trireme {

/// As the file should have it: [rows, cols], [cols, rows] if it is transposed, [rows] of a vector.
std::vector<std::int64_t> expected_shape(const ParameterSpec& parameter);

/// Throws Error(input) naming file, tensor and both shapes if it is missing, of another shape or
/// not floating.
const TensorInfo& checked_tensor(const TensorSource& source, const ParameterSpec& parameter);

}  // namespace trireme
