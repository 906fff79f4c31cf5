#include "models/sentence.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "models/hf_config.h"

namespace trireme {

namespace {

constexpr std::string_view modules_file = "modules.json";

struct PoolingKey {
  std::string_view key;
  Pooling pooling;
};

constexpr std::array<PoolingKey, 6> pooling_keys = {{
    {"pooling_mode_cls_token", Pooling::first},
    {"pooling_mode_max_tokens", Pooling::max},
    {"pooling_mode_mean_tokens", Pooling::mean},
    {"pooling_mode_mean_sqrt_len_tokens", Pooling::mean_sqrt_len},
    {"pooling_mode_weightedmean_tokens", Pooling::weighted_mean},
    {"pooling_mode_lasttoken", Pooling::last},
}};

/// A module's folder, as modules.json names it: within the model's directory.
std::string folder_of(const nlohmann::json& module, const std::string& where) {
  const std::string path = module.value("path", "");
  if (path.starts_with('/') || path.find("..") != std::string::npos) {
    fail(ErrorKind::input, "{}: path \"{}\" does not lie within the model's directory", where,
         path);
  }
  return path;
}

std::string file_in(const std::string& folder, std::string_view name) {
  return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
}

Pooling read_pooling(const HfConfig& config) {
  const PoolingKey* found = nullptr;
  for (const PoolingKey& candidate : pooling_keys) {
    if (!config.boolean_or(candidate.key, false)) continue;
    if (found != nullptr) {
      config.reject(candidate.key, "one mode of pooling only; Trireme does not join several");
    }
    found = &candidate;
  }
  if (found == nullptr) config.reject("pooling_mode_mean_tokens", "one mode of pooling to be true");
  return found->pooling;
}

void read_module(const ModelTexts& texts, const nlohmann::json& module, SentenceModules& modules) {
  const std::string where = texts.where(modules_file);
  if (!module.is_object()) fail(ErrorKind::input, "{}: expected a list of objects", where);
  std::string type = module.value("type", "");
  type = type.substr(type.rfind('.') + 1);
  if (type == "Transformer" || type == "Dropout") return;
  if (type == "Normalize") {
    modules.normalize = true;
  } else if (type == "Pooling") {
    modules.pooling =
        read_pooling(HfConfig::read(texts, file_in(folder_of(module, where), "config.json")));
  } else {
    fail(ErrorKind::input,
         "{}: cannot run a module of type \"{}\"; Trireme has Transformer, Pooling and Normalize",
         where, type);
  }
}

}  // namespace

SentenceModules read_sentence_modules(const ModelTexts& texts) {
  SentenceModules modules;
  if (texts.read("sentence_bert_config.json")) {
    modules.max_tokens =
        HfConfig::read(texts, "sentence_bert_config.json").size_or("max_seq_length", 0x7fffffff);
  }
  const std::optional<std::string> text = texts.read(modules_file);
  if (!text) return modules;
  const nlohmann::json list = nlohmann::json::parse(*text, nullptr, false);
  if (!list.is_array()) {
    fail(ErrorKind::input, "{}: expected a list of modules", texts.where(modules_file));
  }
  try {
    for (const nlohmann::json& module : list) read_module(texts, module, modules);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: {}", texts.where(modules_file), error.what());
  }
  return modules;
}

}  // namespace trireme
