// Oniguruma itself, the oracle of the regular expressions' translation. Apart from the test because
// its header and glibc's <regex.h>, which GoogleTest includes, exclude each other.
#pragma once

#include <string>
#include <vector>

namespace trireme::text {

/// Everything that `pattern` matches in `text`, which must not be empty. Throws
/// std::invalid_argument when Oniguruma refuses the pattern.
std::vector<std::string> oniguruma_matches(const std::string& pattern, const std::string& text);

}  // namespace trireme::text
