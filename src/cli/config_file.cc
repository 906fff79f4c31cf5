#include "cli/config_file.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/suggest.h"
#include "trireme/error.h"

namespace trireme {

namespace {

constexpr std::size_t most_bytes = 1 << 20;  // nobody writes more settings than that

/// Maps within the file whose keys are read as if they stood outside.
constexpr std::array containers{"mpirun_config", "megatron_lm_config", "parallelism_config"};

struct Renamed {
  const char* key;
  const char* flag;
};
constexpr Renamed renamed[] = {{"mpirun_hostfile", "hostfile"},
                               {"megatron_lm_tp_degree", "tensor_parallel_size"},
                               {"megatron_lm_pp_degree", "pipeline_parallel_size"},
                               {"parallelism_config_tp_size", "tensor_parallel_size"},
                               {"parallelism_config_dp_replicate_size", "data_parallel_size"}};

/// For `trireme launch` alone.
constexpr std::array launch_keys{"num_processes",   "num_machines",      "machine_rank",
                                 "main_process_ip", "main_process_port", "hostfile"};

template <typename List>
bool has(const List& list, const std::string& key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || std::filesystem::is_directory(path)) {
    throw Error(
        ErrorKind::input,
        fmt::format("{}: cannot be read; `trireme config` writes a file of settings", path));
  }
  std::string all = std::move(text).str();
  if (all.size() > most_bytes) {
    throw Error(ErrorKind::input, fmt::format("{}: {} bytes are no settings", path, all.size()));
  }
  return all;
}

/// Values that say nothing.
bool is_empty(const std::string& value) {
  constexpr std::array nothing{"",      "null",  "~",    "no",     "NO", "No",           "false",
                               "False", "FALSE", "main", "static", "[]", "LOCAL_MACHINE"};
  return has(nothing, value);
}

/// Takes what a file says, key by key.
class Reader {
 public:
  Reader(std::string path, std::span<const std::string> flags) : flags_(flags) {
    file_.path = std::move(path);
  }

  /// Of all keys, before the first take(): Accelerate always writes one of these, and versions
  /// differ in the others that they write.
  void see(const std::string& key) {
    accelerates_ = accelerates_ || key == "compute_environment" || key == "distributed_type";
  }

  void take(const std::string& name, const std::string& value) {
    const std::string key = config_key(name);
    if (key == "compute_environment" && value == "AMAZON_SAGEMAKER") {
      throw Error(ErrorKind::usage, fmt::format("{}: compute_environment {}: Trireme starts "
                                                "processes on machines that you have",
                                                file_.path, value));
    }
    if (is_empty(value) && !has(flags_, key)) return check(key);
    if (key == "mixed_precision") return take_precision(value);
    if (key == "use_cpu") return set("device", "cpu");
    if (key == "distributed_type" || key == "debug" || key == "same_network") return;
    for (const Renamed& pair : renamed) {
      if (key == pair.key) return set(pair.flag, value);
    }
    check(key);
    if (has(flags_, key) || has(launch_keys, key)) return set(key, value);
    file_.ignored.push_back(key);
  }

  ConfigFile finish() { return std::move(file_); }

 private:
  void set(const std::string& key, const std::string& value) {
    // What is said in Trireme's own words counts more than what is translated.
    file_.values.emplace(key, value);
  }

  void take_precision(const std::string& value) {
    if (value == "bf16") return set("dtype", "bfloat16");
    if (value == "fp16") return set("dtype", "float16");
    file_.ignored.push_back(fmt::format("mixed_precision {}", value));
  }

  void check(const std::string& key) const {
    if (accelerates_ || has(flags_, key) || has(launch_keys, key)) return;
    std::vector<std::string> known(flags_.begin(), flags_.end());
    known.insert(known.end(), launch_keys.begin(), launch_keys.end());
    throw Error(ErrorKind::usage,
                fmt::format("{}: unknown key '{}'{}; keys are flags, spelled with underscores",
                            file_.path, key, did_you_mean(key, known)));
  }

  std::span<const std::string> flags_;
  bool accelerates_ = false;
  ConfigFile file_;
};

std::string text_of(const YAML::Node& node) {
  if (node.IsNull() || (!node.IsScalar() && node.size() == 0)) return "";
  if (node.IsScalar()) return node.Scalar();
  return "...";  // a list or a map: only that there is one matters
}

void take_map(const YAML::Node& map, Reader& reader) {
  for (const auto& entry : map) {
    const auto key = entry.first.as<std::string>();
    if (has(containers, key) && entry.second.IsMap()) {
      take_map(entry.second, reader);
    } else {
      reader.take(key, text_of(entry.second));
    }
  }
}

void read_yaml(const std::string& path, const std::string& text, Reader& reader) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return;
    if (!root.IsMap()) {
      throw Error(ErrorKind::input, fmt::format("{}: expected lines of `key: value`", path));
    }
    for (const auto& entry : root) reader.see(entry.first.as<std::string>());
    take_map(root, reader);
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::input, fmt::format("{}:{}: {}", path, error.mark.line + 1, error.msg));
  }
}

std::string text_of(const nlohmann::json& value) {
  if (value.is_null() || (value.is_structured() && value.empty())) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.is_structured() ? "..." : value.dump();
}

void take_map(const nlohmann::json& map, Reader& reader) {
  for (const auto& [key, value] : map.items()) {
    if (has(containers, key) && value.is_object()) {
      take_map(value, reader);
    } else {
      reader.take(key, text_of(value));
    }
  }
}

void read_json(const std::string& path, const std::string& text, Reader& reader) {
  try {
    const auto root = nlohmann::json::parse(text);
    for (const auto& [key, value] : root.items()) reader.see(key);
    take_map(root, reader);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::input, fmt::format("{}: {}", path, error.what()));
  }
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// The folder that `name` says, or `otherwise` in the home folder.
std::string folder_of(const char* name, const char* otherwise) {
  const std::string said = variable(name);
  return said.empty() ? variable("HOME") + "/" + otherwise : said;
}

}  // namespace

const std::string* ConfigFile::find(const std::string& key) const {
  const auto found = values.find(key);
  return found == values.end() ? nullptr : &found->second;
}

std::string config_key(std::string_view flag) {
  while (flag.starts_with('-')) flag.remove_prefix(1);
  std::string key(flag);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

ConfigFile read_config_file(const std::string& path, std::span<const std::string> flags) {
  const std::string text = read_all(path);
  Reader reader(path, flags);
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start != text.npos && text[start] == '{') {
    read_json(path, text, reader);
  } else {
    read_yaml(path, text, reader);
  }
  return reader.finish();
}

std::string own_config_path() {
  const std::string said = variable("TRIREME_CONFIG_FILE");
  return said.empty() ? folder_of("XDG_CONFIG_HOME", ".config") + "/trireme/config.yaml" : said;
}

std::string accelerate_config_path() {
  const std::string home = variable("HF_HOME");
  const std::string folder =
      home.empty() ? folder_of("XDG_CACHE_HOME", ".cache") + "/huggingface" : home;
  return folder + "/accelerate/default_config.yaml";
}

std::optional<std::string> default_config_path() {
  for (const std::string& path : {own_config_path(), accelerate_config_path()}) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

}  // namespace trireme
