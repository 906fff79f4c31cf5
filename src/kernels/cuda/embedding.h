// Looking rows up in a packed table (weights.h).
#pragma once

#include <cstdint>
#include <span>

#include "core/range.h"
#include "kernels/backend.h"
#include "kernels/cuda/context.h"

namespace trireme::cuda {

/// out[i] = row (ids[i] - vocab.begin) of the packed table, or zeros where ids[i] is outside
/// `vocab`. out is [ids.size(), k], in the device's memory as the table is. Zeros are always +0.
void embedding(Context& context, std::span<const std::int32_t> ids, Range vocab,
               const MatrixShape& shape, const std::byte* table, float* out);

}  // namespace trireme::cuda
