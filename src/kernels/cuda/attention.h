// Attention over the paged cache (layout: kv_cache.h).
//
// float32 caches, and any cache on GPUs without tensor cores, take the plain kernel: the reference
// backend's operations and bits (attention_plain.cu). bfloat16 and float16 caches go through tensor
// cores (attention_softmax.h says in which order).
#pragma once

#include "kernels/cuda/context.h"

namespace trireme::cuda {

void attention(Context& context, const AttentionArgs& args);

/// The most scratch memory that attention takes for up to `rows` rows.
std::size_t attention_scratch_bytes(std::int64_t heads, std::int64_t head_dim, std::int64_t rows,
                                    std::int64_t most_keys);

}  // namespace trireme::cuda
