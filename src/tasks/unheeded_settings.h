// Settings of a generation_config.json that generate() of transformers heeds and Trireme does not.
#pragma once

#include <string>

#include "models/hf_config.h"

namespace trireme {

/// One line that names those with a value that would change the text ("FILE: num_beams is 4, ..."),
/// or nothing.
std::string unheeded_settings(const HfConfig& generation);

}  // namespace trireme
