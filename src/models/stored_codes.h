// Which matrices of a quantised checkpoint stay in the four bits that they are stored in.
#pragma once

#include <cstdint>
#include <string>

#include "core/model_spec.h"
#include "weights/tensor_source.h"

namespace trireme {

/// How many inputs a packed group takes (WeightFormat::group) of a row of `cols` inputs that share
/// scale and zero in aligned runs of `code_group` and that virtual shards cut every `shard_width`
/// inputs (0: not at all). Groups begin anew at each shard, so a stored group may become several
/// with the same scale. 0: they would be narrower than 32.
std::int64_t packed_code_group(std::int64_t code_group, std::int64_t cols,
                               std::int64_t shard_width);

/// Sets code_group of the matrices of `model` that can stay as `source` stores them, and
/// Quantization::stored if there is any. Returns one line for the user on the quantised matrices
/// that cannot and take the model's dtype; empty if there are none.
std::string keep_codes(ModelSpec& model, const TensorSource& source);

}  // namespace trireme
