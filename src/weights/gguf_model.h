// GGUF files as models: what they hold, in the words and under the names of Hugging Face.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "weights/model_files.h"

namespace trireme {

/// Opens a GGUF file, or all parts of a split one by its first. A tokenizer.json beside it counts
/// more than the tokenizer in it. Throws Error(input) naming the file and what is wrong.
std::unique_ptr<ModelFiles> open_gguf_model(const std::filesystem::path& path);

/// Whether a file goes by the name of one.
bool is_gguf_name(const std::filesystem::path& path);

/// The parts of a split file's name: "model-00001-of-00003.gguf".
struct GgufSplitName {
  std::string before;  ///< "model-"
  std::int64_t number = 0;
  std::int64_t count = 0;

  std::string of(std::int64_t part) const;
};
/// Nothing for any other name.
std::optional<GgufSplitName> gguf_split_name(const std::string& name);

/// The only GGUF model in a directory; an empty path if there is none. Throws Error(input) where
/// there are several.
std::filesystem::path gguf_in(const std::filesystem::path& directory);

}  // namespace trireme
