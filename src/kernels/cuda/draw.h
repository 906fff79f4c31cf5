// Drawing tokens from rows of logits on the GPU, by the rules of runtime/sampler.h: repetition
// penalty, temperature, top-k, top-p, min-p, then the first token, by ascending id, whose
// cumulative probability exceeds the random number.
//
// A token's probability is an integer here: e^(logit - largest) in units of 2^-44, from a float64
// exponential of our own. Sums of integers are the same in any order, so a token depends on its row
// alone, on every GPU. The host's sampler adds rounded probabilities up; the two disagree where a
// boundary lies within about 1e-9 of the random number, of top_p or of min_p.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// A row may have so many columns: sums of their weights fit in 64 bits.
inline constexpr std::int64_t most_draw_columns = std::int64_t{1} << 18;

struct DrawArgs {
  const float* logits = nullptr;  ///< [rows.size(), ld]
  std::int64_t cols = 0;          ///< 1 to most_draw_columns
  std::int64_t ld = 0;
  std::span<const DrawRow> rows;   ///< penalized ids are below cols
  std::int32_t* tokens = nullptr;  ///< [rows.size()], in the device's memory
};

/// Brings the rows' settings over, so it cannot be recorded into a graph.
void draw(Context& context, const DrawArgs& args);

/// What draw takes of scratch, but for 4 bytes for each penalized id.
std::size_t draw_scratch_bytes(std::int64_t rows, std::int64_t cols);

}  // namespace trireme::cuda
