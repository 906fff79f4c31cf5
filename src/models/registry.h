// The model families that Trireme knows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace trireme {

/// Names as config.json's "architectures" spells them.
std::vector<std::string> known_architectures();

/// The model that `config` describes, computing in `dtype`. Throws Error(input) for an unknown
/// architecture (listing the known ones) or unusable numbers.
std::unique_ptr<Model> make_model(const HfConfig& config, DType dtype);
/// The same, of a model whose other files are `texts`.
std::unique_ptr<Model> make_model(const HfConfig& config, DType dtype, const ModelTexts& texts);

}  // namespace trireme
