// Well-known models as their config.json says, for measuring without any file: random weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/model_texts.h"

namespace trireme {

/// A model name of this form ("shape:llama-1b") asks for a shape with made-up weights.
inline constexpr std::string_view shape_prefix = "shape:";

/// The names that shape_config() knows.
std::vector<std::string> shape_names();

/// The text of the config.json of the model called `name`, without prefix. Throws Error(usage)
/// listing the known names.
std::string_view shape_config(std::string_view name);

/// A shape's config.json, which is all it has.
class ShapeTexts : public ModelTexts {
 public:
  /// `model`: with the prefix. Throws like shape_config().
  explicit ShapeTexts(std::string model);

  std::string where() const override { return model_; }
  std::string where(std::string_view) const override { return model_; }
  std::optional<std::string> read(std::string_view name) const override;
  std::vector<std::string> names_in(std::string_view) const override { return {}; }

 private:
  std::string model_;
  std::string_view config_;
};

}  // namespace trireme
