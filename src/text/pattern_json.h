// The "pattern" member that Split and Replace share: {"String": ".."} or {"Regex": ".."}.
#pragma once

#include <memory>

#include "text/regex.h"

namespace trireme::text {

class JsonView;

/// Error (input) when the pattern is neither, is empty, or is a malformed regular expression.
std::unique_ptr<Pattern> read_pattern(const JsonView& json);

/// Appends `text` to `out` with every match of `pattern` replaced by `content`.
void append_replaced(std::string& out, std::string_view text, const Pattern& pattern,
                     std::string_view content);

}  // namespace trireme::text
