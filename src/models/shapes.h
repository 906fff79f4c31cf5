// Well-known models as their config.json says, for measuring without any file: random weights.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// A model name of this form ("shape:llama-1b") asks for a shape with made-up weights.
inline constexpr std::string_view shape_prefix = "shape:";

/// The names that shape_config() knows.
std::vector<std::string> shape_names();

/// The text of the config.json of the model called `name`, without prefix. Throws Error(usage)
/// listing the known names.
std::string_view shape_config(std::string_view name);

}  // namespace trireme
