// Rows to lanes: the transposition behind every packed panel, squares of which turn in registers.
#pragma once

#include <cstddef>

namespace trireme::packed {

/// Copies `count` units from each of `rows` (at most 32) rows, `row_bytes` apart and of any
/// alignment, to [count][32]. Lanes beyond `rows` are left alone. Units are of four bytes, or two.
void interleave_words(const std::byte* source, std::size_t row_bytes, std::size_t rows,
                      std::size_t count, std::byte* target);
void interleave_halves(const std::byte* source, std::size_t row_bytes, std::size_t rows,
                       std::size_t count, std::byte* target);

}  // namespace trireme::packed
