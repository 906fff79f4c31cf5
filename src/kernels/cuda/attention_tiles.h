// Attention of many rows, on tensor cores: prefill.
#pragma once

#include "kernels/cuda/attention_view.h"

namespace trireme::cuda {

/// The rows of sequences that have more than `few_rows` of them.
void attention_tiles(Context& context, const AttentionArgs& args, std::int32_t few_rows);

}  // namespace trireme::cuda
