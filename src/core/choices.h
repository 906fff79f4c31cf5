// What a list of labels to choose from must be, whoever gives it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace trireme {

/// Labels that one prompt may be asked about.
inline constexpr std::size_t most_choices = 10'000;

/// What is wrong with the labels, or empty: none or too many of them, one without text, one twice.
std::string wrong_with_choices(const std::vector<std::string>& choices);

}  // namespace trireme
