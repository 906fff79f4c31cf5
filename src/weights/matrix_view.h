// A tensor of any rank as the matrix that slices are taken from, and the checks of a slice.
#pragma once

#include "core/range.h"
#include "weights/tensor_source.h"

namespace trireme {

struct MatrixView {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
};

/// [shape[0], product of the rest]; a vector is [1, size], a scalar [1, 1].
MatrixView matrix_view(const TensorInfo& tensor);

/// Asserts that the slice lies within the tensor: slices come from shards, whose sizes the loader
/// has compared with the tensor's shape.
void check_slice(const TensorInfo& tensor, Range rows, Range cols);

}  // namespace trireme
