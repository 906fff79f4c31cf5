// The golden models, as the plan's tests need them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/quantization_config.h"
#include "models/registry.h"

namespace trireme {

inline std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/golden" / name;
}

inline std::unique_ptr<Model> golden_model(const std::string& name, DType dtype) {
  return make_model(HfConfig::read(golden_folder(name) / "config.json"), dtype);
}

/// The same with what its checkpoint stores in four bits kept so, as far as that goes.
inline std::unique_ptr<Model> golden_model_with_codes(const std::string& name) {
  const HfConfig config = HfConfig::read(golden_folder(name) / "config.json");
  auto model = make_model(config, DType::f16);
  model->keep_codes(*open_weights(*open_model_files(golden_folder(name)), config));
  return model;
}

inline const std::vector<std::string>& golden_names() {
  static const std::vector<std::string> names{
      "gpt2",    "gpt2_untied", "llama", "llama_9_heads", "llama3",    "llama_mha_bias",
      "mistral", "qwen2",       "qwen3", "wide_gpt2",     "wide_llama"};
  return names;
}

}  // namespace trireme
