// One conversion of a format string: what "%-8.2f" and "{:>8,.2f}" have in common.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

struct FormatSpec {
  std::string fill = " ";  ///< one character
  char align = '\0';       ///< < > ^ = or 0 for the kind's own
  char sign = '-';         ///< + space or -
  bool alternate = false;  ///< a prefix: 0x, 0o, 0b
  bool thousands = false;  ///< commas
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = '\0';
};

/// Reads digits at `position`. Throws Fault for numbers no format needs.
std::optional<std::size_t> read_count(const std::string& text, std::size_t& position);

/// The text in its field.
std::string pad(Runtime& runtime, const std::string& text, const FormatSpec& spec,
                char default_align);

/// A number as d, f, e, g, x, o, b, c or %, in its field. Throws Fault when the kind does not fit.
std::string format_number(Runtime& runtime, const Value& value, const FormatSpec& spec);

}  // namespace trireme::jinja
