// Matrix products of i8, i4 and u4: the reference backend's bits on every GPU, for any number of
// rows.
//
// Products of integers are summed exactly in int32, so tensor cores, lanes and warps may share them
// in any way. What is rounded, y = fma(float(sum), x's scale * w's scale, y) group by group
// (kernels/quantize.h) and the tree of the shards, happens in the one order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/partials.h"

namespace trireme::cuda {

/// Backend::linear of a shape whose dtype is i8, i4 or u4; w is packed as in weights.h.
void linear_quantized(Context& context, const LinearArgs& args);

/// The same without its last step, where there is one: if `args` has a single output of at least
/// two shards and few enough rows, computes their sums into scratch memory, shard by shard, and
/// returns true. sum_partials (with an output of all of `partials`' shards), or whatever does the
/// same, then makes y of them; the bias is not in them yet. Else does nothing and returns false.
bool linear_quantized_partials(Context& context, const LinearArgs& args, ShardPartials& partials);

/// The most scratch memory that a call with up to `rows` rows takes.
std::size_t linear_quantized_scratch_bytes(const MatrixShape& shape, std::int64_t rows);

}  // namespace trireme::cuda
