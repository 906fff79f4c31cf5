#include "cli/launch_words.h"

#include <algorithm>
#include <array>

#include "cli/config_file.h"

namespace trireme {

namespace {

/// Flags of launch that a value follows; the first ones are unlikely to be any program's own.
constexpr std::array launch_only{"num_processes",   "num_machines",      "machine_rank",
                                 "main_process_ip", "main_process_port", "hostfile",
                                 "mpirun_hostfile", "config_file"};
constexpr std::array with_value{"n",
                                "ranks",
                                "mixed_precision",
                                "dynamo_backend",
                                "gpu_ids",
                                "rdzv_backend",
                                "num_cpu_threads_per_process"};

template <typename List>
bool has(const List& list, const std::string& key) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

struct Flag {
  explicit Flag(const std::string& word) {
    const std::size_t equals = word.find('=');
    inline_value = equals != word.npos;
    key = config_key(word.substr(0, equals));
    is_flag = word.size() > 1 && word[0] == '-' && word != "--";
    is_long = word.starts_with("--") && is_flag;
  }
  std::string key;
  bool is_flag = false;
  bool is_long = false;
  bool inline_value = false;
};

}  // namespace

LaunchWords split_launch_words(std::span<const std::string> words) {
  LaunchWords split;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Flag flag(words[i]);
    const bool inside = !split.program.empty();
    if (words[i] == "--") {
      split.program.insert(split.program.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                           words.end());
      break;
    }
    if (!flag.is_flag || (inside && !(flag.is_long && has(launch_only, flag.key)))) {
      split.program.push_back(words[i]);
      continue;
    }
    const bool value = has(launch_only, flag.key) || has(with_value, flag.key);
    std::vector<std::string> taken{words[i]};
    if (value && !flag.inline_value && i + 1 < words.size()) taken.push_back(words[++i]);
    split.flags.insert(split.flags.end(), taken.begin(), taken.end());
    if (inside) split.behind.insert(split.behind.end(), taken.begin(), taken.end());
  }
  return split;
}

}  // namespace trireme
