#include "core/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <vector>

namespace trireme {

namespace {

/// The folder of the library or program that holds this very code.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) {
    return {};
  }
  std::error_code ignored;
  return std::filesystem::canonical(info.dli_fname, ignored).parent_path();
}

std::vector<std::filesystem::path> places() {
  std::vector<std::filesystem::path> folders;
  if (const char* const path = std::getenv("TRIREME_PLUGIN_PATH")) {
    std::istringstream list(path);
    for (std::string folder; std::getline(list, folder, ':');) {
      if (!folder.empty()) folders.emplace_back(folder);
    }
  }
  std::error_code ignored;
  const auto executable = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  if (!executable.empty()) {
    folders.push_back(executable);
    folders.push_back(executable / ".." / "lib" / "trireme");
  }
  const auto library = own_folder();
  if (!library.empty() && library != executable) {
    folders.push_back(library);
    folders.push_back(library / "trireme");
  }
  return folders;
}

}  // namespace

Plugin load_plugin(const std::string& file_name, int flags) {
  Plugin plugin;
  for (const auto& folder : places()) {
    const std::filesystem::path file = folder / file_name;
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
      plugin.looked += "\n  " + folder.string() + ": not there";
      continue;
    }
    plugin.handle = dlopen(file.c_str(), flags);
    if (plugin.handle != nullptr) break;
    const char* const reason = dlerror();
    plugin.looked +=
        "\n  " + file.string() + ": " + (reason != nullptr ? reason : "cannot be loaded");
  }
  return plugin;
}

}  // namespace trireme
