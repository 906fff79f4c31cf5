// Sums of matrix products over single virtual shards, which wait to be added up: by sum_partials,
// or by whatever comes next and reads them itself.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// [shards][m][n], in the memory that Context::scratch gave to the operation that made them.
struct ShardPartials {
  const float* data = nullptr;
  std::int64_t shards = 0;
  std::int64_t m = 0;
  std::int64_t n = 0;
};

/// y [m, ldy] of each output: the partial sums of its shards (counted among those of `partials`)
/// added in the order of the binary tree of that many leaves (core/shard.h), then `bias` [n] unless
/// null.
void sum_partials(Context& context, const ShardPartials& partials, const float* bias,
                  std::span<const ShardSum> outputs, std::int64_t ldy);

}  // namespace trireme::cuda
