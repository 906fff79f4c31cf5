// The tensors of a GGUF file, or of the parts of a split one, under Hugging Face's names and in its
// layout; quantised ones as the float32 numbers that they stand for.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "weights/gguf_file.h"
#include "weights/tensor_source.h"

namespace trireme {

/// The parts of one model, which its texts and its tensors are both read from.
struct GgufParts {
  std::vector<GgufFile> files;  ///< the first has the metadata

  const GgufMetadata& metadata() const { return files.front().metadata(); }
};

/// Holds the factors of the rotation's frequencies, which a config says: no tensor of the model.
inline constexpr std::string_view gguf_rope_factors = "rope_freqs.weight";

std::unique_ptr<TensorSource> make_gguf_source(std::shared_ptr<const GgufParts> parts);

}  // namespace trireme
