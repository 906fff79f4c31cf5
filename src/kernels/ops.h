// Checks the arguments of every operation once, before a backend sees them. A violation is a bug of
// the caller, so it asserts; nothing a user can write reaches here unchecked.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"

namespace trireme {

void check_matrix(const MatrixShape& shape);
void check_linear(const LinearArgs& args);
void check_embedding(std::span<const std::int32_t> ids, Range vocab, const MatrixShape& shape,
                     const std::byte* table, const float* out);
void check_kv_write(const KvWriteArgs& args);
void check_attention(const AttentionArgs& args);
void check_rope(const RopeArgs& args);
void check_norm(const NormArgs& args);

}  // namespace trireme
