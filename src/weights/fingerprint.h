// What a model's weights are known by without reading all of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "weights/tensor_source.h"

namespace trireme {

/// A hash as texts show it.
std::string digest_text(std::uint64_t hash);

/// A name of a weight file that stays when the model moves: a GGUF file, which is the whole model,
/// may be called anything and is "weights.gguf"; a directory's files are called as they must be.
std::string weight_file_label(const std::filesystem::path& file);

/// A line for each file: its label, the names, dtypes and shapes of its tensors, and a page of each
/// tensor's first, middle and last row. Neither where the files lie nor when they were written.
std::string describe_weights(const TensorSource& source);

}  // namespace trireme
