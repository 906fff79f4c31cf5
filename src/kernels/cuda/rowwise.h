// The operations of kernels/backend.h that take row by row or element by element, with the
// reference's bits, and a few small ones that only a GPU needs. Pointers are to the device's
// memory, spans to the host's.
#pragma once

#include <cstdint>
#include <span>

#include "core/device_stream.h"
#include "kernels/backend.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

void rms_norm(Context& context, const NormArgs& args);
void layer_norm(Context& context, const NormArgs& args);
void rope(Context& context, const RopeArgs& args);

void activate(Context& context, Activation kind, float* x, std::int64_t rows, std::int64_t cols,
              std::int64_t ldx);
void gated_activation(Context& context, Activation kind, const float* gate_up, std::int64_t rows,
                      std::int64_t cols, std::int64_t ld, float* out, std::int64_t ldo);
void add(Context& context, float* x, const float* y, std::int64_t count);
void scale(Context& context, float* x, float factor, std::int64_t count);
void add_bias(Context& context, float* x, const float* bias, std::int64_t rows, std::int64_t cols);

void pool(Context& context, const PoolArgs& args);

/// out [rows.size(), cols]: row i is row rows[i] of x.
void gather_rows(Context& context, const float* x, std::int64_t cols, std::int64_t ldx,
                 std::span<const std::int32_t> rows, float* out);
/// Row i of x [rows, ldx] += row indices[i] + offset of `table` [.., cols].
void add_rows(Context& context, float* x, std::int64_t rows, std::int64_t cols, std::int64_t ldx,
              const float* table, std::span<const std::int32_t> indices, std::int64_t offset);
/// out[i] = table[indices[i]]; the indices stay on the device.
void gather(Context& context, const float* table, std::span<const std::int32_t> indices,
            float* out);

/// Takes the steps over `pieces`, at most 64 of [count]. The last one leaves the sum in `out`,
/// which may be one of them. Without steps `out` is the single piece, or zeros where there is none.
void tree_sum(Context& context, std::span<const float* const> pieces,
              std::span<const TreeStep> steps, std::int64_t count, float* out);

}  // namespace trireme::cuda
