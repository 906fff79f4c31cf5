// One matrix of a GPTQ or AWQ checkpoint: the tensors that hold it, checked against each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/quantized_source.h"

namespace trireme {

struct QuantizedLinear {
  TensorInfo info;  ///< X.weight [n, k], as it is presented
  const TensorInfo* qweight = nullptr;
  const TensorInfo* qzeros = nullptr;
  const TensorInfo* scales = nullptr;
  const TensorInfo* g_idx = nullptr;  ///< null: there is none
  std::int64_t group_size = 0;
  std::vector<std::int32_t> groups;  ///< of each k; empty: k / group_size

  std::int64_t group_of(std::int64_t k) const {
    return groups.empty() ? k / group_size : groups[static_cast<std::size_t>(k)];
  }
  std::int64_t group_count() const { return scales->shape[0]; }
};

/// The matrix `name` ("X", without ".weight") of `files`, which have X.qweight. Reads g_idx. Throws
/// Error(input) naming the tensor.
QuantizedLinear open_linear(const TensorSource& files, const CheckpointQuantization& quantization,
                            const std::string& name);

}  // namespace trireme
