// GPTQ and AWQ checkpoints as tensors: what the files hold as X.qweight, X.qzeros, X.scales (and
// X.g_idx) is presented as X.weight, like the matrix that it was made from.
#pragma once

#include <cstdint>
#include <memory>

#include "weights/tensor_source.h"

namespace trireme {

enum class QuantizationMethod : std::uint8_t { gptq, awq };

/// What config.json's quantization_config says of the files.
struct CheckpointQuantization {
  QuantizationMethod method = QuantizationMethod::gptq;
  int bits = 4;                   ///< GPTQ: 4 or 8; AWQ: 4
  std::int64_t group_size = 128;  ///< inputs that share a scale; -1: all of a row
  bool desc_act = false;          ///< GPTQ: inputs belong to groups in no order
  bool symmetric = false;         ///< GPTQ: says that all zeros are half of the range
  bool zeros_less_one = true;     ///< GPTQ: as its older format, v1, has them
};

/// Presents `files` so. read() gives (code - zero) * scale, computed in float32, which holds it
/// exactly (scales of float16 or bfloat16 have 11 bits, codes less zeros at most 9). Reads the
/// order of the columns (g_idx); throws Error(input) naming the tensor when a part is missing or is
/// not of the dtype and shape that belong to it. Biases of such matrices that are all zero, which
/// AutoGPTQ writes for layers that have none, are not among tensors().
std::unique_ptr<TensorSource> open_quantized(std::unique_ptr<TensorSource> files,
                                             const CheckpointQuantization& quantization);

/// The first tensor that only a quantised checkpoint has ("X.qweight"); null if there is none.
const TensorInfo* find_packed_weight(const TensorSource& files);

}  // namespace trireme
