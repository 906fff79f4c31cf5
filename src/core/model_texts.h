// The small files of a model by name ("config.json", "tokenizer.json"): those of a directory as
// Hugging Face writes it, or what another format says, put in the same words.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class ModelTexts {
 public:
  virtual ~ModelTexts() = default;

  /// The model's directory or file.
  virtual std::string where() const = 0;
  /// The text called `name`, for messages.
  virtual std::string where(std::string_view name) const = 0;
  /// Nothing if there is none of that name. Throws Error naming the file where it cannot be read.
  virtual std::optional<std::string> read(std::string_view name) const = 0;
  /// The texts in a folder of the model, "folder/name", in order; none if there is no such folder.
  virtual std::vector<std::string> names_in(std::string_view folder) const = 0;

  /// What read() gives; where there is nothing, throws Error(input).
  std::string require(std::string_view name) const;
};

/// The files of a directory.
class DirectoryTexts : public ModelTexts {
 public:
  explicit DirectoryTexts(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::string where() const override { return directory_.string(); }
  std::string where(std::string_view name) const override { return (directory_ / name).string(); }
  std::optional<std::string> read(std::string_view name) const override;
  std::vector<std::string> names_in(std::string_view folder) const override;

 private:
  std::filesystem::path directory_;
};

}  // namespace trireme
