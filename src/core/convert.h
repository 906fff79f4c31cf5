// Conversions of whole rows between the floating dtypes.
#pragma once

#include <cstddef>

#include "core/dtype.h"

namespace trireme {

/// Converts `count` elements of any of f32, f16, bf16 and f64 to f32, f16 or bf16, through float32:
/// each step rounds to nearest, ties to even. Of one dtype they are copied. `target` is aligned to
/// its elements, `source` to nothing.
void convert(const std::byte* source, DType from, std::byte* target, DType to, std::size_t count);

}  // namespace trireme
