// Settings from a file: what flags say unless they are given. YAML or JSON, Trireme's or
// Accelerate's.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// `values` by flag, spelled with underscores and without dashes in front: "num_processes",
/// "tensor_parallel_size". Accelerate's keys come under the flag that means the same.
struct ConfigFile {
  std::string path;
  std::map<std::string, std::string> values;
  std::vector<std::string> ignored;  ///< "fsdp_config": Accelerate's, without a meaning here

  const std::string* find(const std::string& key) const;
};

/// `flags`: every key besides Accelerate's that is known. Throws Error(input) for a file that
/// cannot be read, Error(usage) for a key that nobody knows, naming the nearest.
ConfigFile read_config_file(const std::string& path, std::span<const std::string> flags);

/// A flag as a key: "--num-processes" is "num_processes".
std::string config_key(std::string_view flag);

/// Where `trireme config` writes: TRIREME_CONFIG_FILE, or trireme/config.yaml in XDG_CONFIG_HOME.
std::string own_config_path();
/// Where Accelerate writes its own: HF_HOME, or XDG_CACHE_HOME.
std::string accelerate_config_path();
/// The first of these two that is there.
std::optional<std::string> default_config_path();

}  // namespace trireme
