#include "models/sentence.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "models/hf_config.h"

namespace trireme {

namespace {

constexpr std::string_view modules_file = "modules.json";
constexpr std::string_view limits_file = "sentence_bert_config.json";

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
  if (!config.boolean_or("include_prompt", true)) {
    config.reject("include_prompt", "true: Trireme pools over all tokens of a text");
  }
  return found->pooling;
}

/// "Pooling", without the Python module that it is in.
std::string type_of(const nlohmann::json& module, const std::string& where) {
  if (!module.is_object()) fail(ErrorKind::input, "{}: expected a list of objects", where);
  const std::string type = module.value("type", "");
  return type.substr(type.rfind('.') + 1);
}

void read_module(const ModelTexts& texts, const nlohmann::json& module, SentenceModules& modules) {
  const std::string where = texts.where(modules_file);
  const std::string type = type_of(module, where);
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

/// Calls `each` with every module that modules.json lists, if there is one.
template <typename Each>
void each_module(const ModelTexts& texts, const Each& each) {
  const std::optional<std::string> text = texts.read(modules_file);
  if (!text) return;
  const nlohmann::json list = nlohmann::json::parse(*text, nullptr, false);
  if (!list.is_array()) {
    fail(ErrorKind::input, "{}: expected a list of modules", texts.where(modules_file));
  }
  try {
    for (const nlohmann::json& module : list) each(module);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: {}", texts.where(modules_file), error.what());
  }
}

}  // namespace

SentenceModules read_sentence_modules(const ModelTexts& texts) {
  SentenceModules modules;
  if (texts.read(limits_file)) {
    const HfConfig limits = HfConfig::read(texts, limits_file);
    modules.max_tokens = limits.size_or("max_seq_length", 0x7fffffff);
    if (limits.boolean_or("do_lower_case", false)) {
      limits.reject("do_lower_case", "false: Trireme leaves that to the tokenizer");
    }
  }
  each_module(texts, [&](const nlohmann::json& module) { read_module(texts, module, modules); });
  return modules;
}

std::vector<std::string> sentence_texts(const ModelTexts& texts) {
  std::vector<std::string> names;
  for (const std::string_view name : {limits_file, modules_file}) {
    if (texts.read(name)) names.emplace_back(name);
  }
  const std::string where = texts.where(modules_file);
  each_module(texts, [&](const nlohmann::json& module) {
    if (type_of(module, where) != "Pooling") return;
    names.push_back(file_in(folder_of(module, where), "config.json"));
  });
  return names;
}

}  // namespace trireme
