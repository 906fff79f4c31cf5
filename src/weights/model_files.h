// A model as it lies on disk, whatever its format: its small files by name, and its tensors under
// the names that Hugging Face gives them.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "core/model_texts.h"
#include "weights/tensor_source.h"

namespace trireme {

class ModelFiles : public ModelTexts {
 public:
  /// As --load-format spells it: "safetensors".
  virtual std::string_view format() const = 0;
  /// Opens the weights (headers only). Throws Error(input) naming file and tensor.
  virtual std::unique_ptr<TensorSource> open_weights() const = 0;
};

/// Opens what find_model() found. Throws Error(input) naming the file.
std::unique_ptr<ModelFiles> open_model_files(const std::filesystem::path& model);

}  // namespace trireme
