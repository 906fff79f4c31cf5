// "Did you mean ...?" for a mistyped verb or flag.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace trireme {

/// Least number of insertions, deletions, replacements and swaps of neighbours that turn `a` into
/// `b` (Damerau's distance with each letter touched at most once: "optimal string alignment").
int edit_distance(std::string_view a, std::string_view b);

/// The candidate closest to `word`, or "" when none is close enough to be meant.
std::string closest(std::string_view word, std::span<const std::string> candidates);

/// " (did you mean X?)", or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace trireme
