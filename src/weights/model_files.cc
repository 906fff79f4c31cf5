#include "weights/model_files.h"

#include "core/read_file.h"
#include "weights/gguf_model.h"

namespace trireme {

namespace {

/// A directory as save_pretrained() writes it.
class HuggingFaceDirectory : public ModelFiles {
 public:
  explicit HuggingFaceDirectory(const std::filesystem::path& directory)
      : directory_(directory), texts_(directory) {}

  std::string where() const override { return texts_.where(); }
  std::string where(std::string_view name) const override { return texts_.where(name); }
  std::optional<std::string> read(std::string_view name) const override {
    return texts_.read(name);
  }
  std::vector<std::string> names_in(std::string_view folder) const override {
    return texts_.names_in(folder);
  }
  std::string_view format() const override { return "safetensors"; }
  std::unique_ptr<TensorSource> open_weights() const override {
    return open_checkpoint(directory_);
  }

 private:
  std::filesystem::path directory_;
  DirectoryTexts texts_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_model_files(const std::filesystem::path& model) {
  if (is_gguf_name(model) && !is_folder(model)) return open_gguf_model(model);
  return std::make_unique<HuggingFaceDirectory>(model);
}

}  // namespace trireme
