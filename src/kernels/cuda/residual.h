// What comes after a row-parallel matrix product, all at once: its shards meet, the bias and the
// residual stream are added, and the next norm is taken.
#pragma once

#include <cstdint>

#include "kernels/cuda/context.h"
#include "kernels/cuda/partials.h"

namespace trireme::cuda {

struct ResidualNorm {
  ShardPartials partials;  ///< of y, at most 64 shards; or none (data null): y is there already
  float* y = nullptr;      ///< [rows, n]; gets the sum of the partials and the bias; or null
  const float* bias = nullptr;  ///< [n] or null, added to y
  float* x = nullptr;           ///< [rows, n], the residual stream: += y
  float* h = nullptr;           ///< [rows, n]: norm(x)
  std::int64_t rows = 0;
  std::int64_t n = 0;
  bool centered = false;             ///< layer_norm, else rms_norm
  const float* weight = nullptr;     ///< [n]
  const float* norm_bias = nullptr;  ///< [n] or null
  float eps = 1e-5f;
};

/// The bits of sum_partials, add_bias, add and the norm, one after another. Takes no scratch.
void residual_norm(Context& context, const ResidualNorm& args);

}  // namespace trireme::cuda
