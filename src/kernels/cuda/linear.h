// y = x W^T for weights of float32, bfloat16 and float16 (kernels/backend.h: LinearArgs). Weights
// lie row by row, K contiguous: each virtual shard of K is padded with zeros to a multiple of 64
// elements, the rows with zero rows to a multiple of 64.
//
// float32 everywhere, bfloat16 and float16 where there are no tensor cores: the reference's bits,
// one chain per shard in ascending k.
//
// Tensor cores: x is rounded to the weights' dtype once (to nearest, ties to even) and a shard's
// sum, in float32, takes two products of 16 k for each 32 k in ascending order. Product j (0, 1)
// takes, as its k "2 quad, 2 quad + 1, 2 quad + 8, 2 quad + 9", the elements 8 quad + 4 j + {0, 1,
// 2, 3} of the 32: so the 16 bytes that a lane loads feed both. Every kernel here keeps this order,
// whatever the number of rows.
//
// Either way the shards' sums meet in the binary tree of core/shard.h, in float32, and the bias
// comes last.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/context.h"
#include "kernels/cuda/partials.h"

namespace trireme::cuda {

void linear(Context& context, const LinearArgs& args);

/// Only the first half of `linear`, where that computes the shards apart (it does for up to 16
/// rows): their sums, in scratch memory, neither added up nor given the bias. False, and nothing is
/// done, where it does not, or where `args` has not one output over all of at least two shards.
bool linear_partials(Context& context, const LinearArgs& args, ShardPartials& partials);

/// The most scratch memory that a call with up to `rows` rows takes.
std::size_t linear_scratch_bytes(const MatrixShape& shape, std::int64_t rows,
                                 bool tensor_cores = true);

}  // namespace trireme::cuda
