// Attention of few rows over many keys, on tensor cores: decoding.
#pragma once

#include "kernels/cuda/attention_view.h"

namespace trireme::cuda {

/// More memory for partial results is not worth it: then a block of threads takes all splits.
constexpr std::int64_t most_partial_bytes = std::int64_t{256} << 20;

/// The rows of sequences that have up to `few_rows` of them, the heads that share a K/V head times
/// `few_rows` being at most 16 unless `few_rows` is 1.
void attention_splits(Context& context, const AttentionArgs& args, std::int32_t few_rows,
                      std::int64_t most_scratch = most_partial_bytes);

}  // namespace trireme::cuda
