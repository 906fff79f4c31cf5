// `trireme env`: what a report of a problem should say about the installation.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cli/arguments.h"
#include "cli/config_file.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "trireme/doctor.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

std::string platform() {
  utsname system{};
  if (uname(&system) != 0) return "unknown";
  return fmt::format("{} {} {}", system.sysname, system.release, system.machine);
}

std::string executable() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).string();
}

/// The variables by which a process finds its ranks, as they are set here.
std::string rank_variables() {
  std::string text;
  for (const char* const name :
       {"TRIREME_ISA", "TRIREME_PLUGIN_PATH", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR",
        "MASTER_PORT", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID"}) {
    if (const char* const value = std::getenv(name))
      text += fmt::format("\t- {}={}\n", name, value);
  }
  return text.empty() ? "\tnone\n" : text;
}

std::string settings(const std::optional<std::string>& path) {
  if (!path) return "\tNot found\n";
  const ConfigFile file = read_config_file(*path, config_flags());
  std::string text = fmt::format("\t- {}\n", file.path);
  for (const auto& [key, value] : file.values) text += fmt::format("\t- {}: {}\n", key, value);
  for (const std::string& key : file.ignored) text += fmt::format("\t- {}: ignored\n", key);
  return text;
}

}  // namespace

int env_main(int argc, char** argv) {
  Arguments arguments(
      "env",
      "Versions, machine and settings, to copy into a report of a problem. `trireme "
      "doctor` says\nwhat to do about what is missing.",
      {"trireme env", "trireme env --config_file two_hosts.yaml"});
  std::string path;
  arguments.own_config();
  arguments.app()
      .add_option("--config_file,--config-file", path, "Settings to show instead of the default")
      ->type_name("FILE");
  if (!arguments.parse(argc, argv)) return 0;
  std::string text = fmt::format("- trireme: {}\n- Location: {}\n- Platform: {}\n", version(),
                                 executable(), platform());
  for (const Finding& finding : examine_machine().findings) {
    text += fmt::format("- {}, {}: {}\n", finding.topic, finding.name, finding.value);
  }
  text += "- Variables:\n" + rank_variables();
  text += "- Settings:\n" + settings(path.empty() ? default_config_path() : std::optional(path));
  print_out(text);
  return 0;
}

}  // namespace trireme
