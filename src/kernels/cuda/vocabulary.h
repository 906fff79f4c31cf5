// The reductions over the vocabulary of kernels/backend.h, with the reference's bits. Results stay
// in the device's memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// A block looks through so many columns of a row.
inline constexpr std::int64_t top_columns = 8192;
/// Blocks that look through a row of `cols` columns.
inline std::int64_t top_parts(std::int64_t cols) { return ceil_div(cols, top_columns); }

/// Largest of each row of logits [rows, ld], over cols > 0 columns; ties go to the lowest index and
/// a NaN to anything else. Uses argmax_scratch_bytes of scratch.
void argmax(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
            std::int64_t ld, Top* out);
std::size_t argmax_scratch_bytes(std::int64_t rows, std::int64_t cols);
/// The first half of it: the largest of each part of each row, parts [rows, top_parts(cols)].
void top_of_parts(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
                  std::int64_t ld, Top* parts);

/// max and sum(exp(x - max)) per row and per block of `block` columns: out[rows, blocks].
void exp_sums(Context& context, const float* logits, std::int64_t rows, std::int64_t cols,
              std::int64_t ld, std::int64_t block, ExpSum* out);

}  // namespace trireme::cuda
