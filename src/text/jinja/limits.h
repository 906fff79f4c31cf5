// What a template may use at most: nothing that a model directory holds is trusted.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::jinja {

/// The defaults leave room for conversations of many megabytes and stop a runaway template after
/// a second or two.
struct Limits {
  std::size_t steps = 20'000'000;        ///< nodes evaluated, items visited, 16 bytes built
  std::size_t output_bytes = 64U << 20;  ///< of the rendered text, and of any one string
  std::size_t recursion = 600;           ///< statements and expressions inside one another
  std::size_t source_bytes = 4U << 20;   ///< of the template itself
};

inline constexpr int max_value_depth = 100;         ///< lists within lists, as values
inline constexpr int max_syntax_depth = 200;        ///< expressions and blocks within one another
inline constexpr std::int64_t max_range = 100'000;  ///< items of a range(), as in Jinja's sandbox
inline constexpr std::size_t max_value_weight = 8U << 20;  ///< items + bytes / 16 of one value

}  // namespace trireme::jinja
