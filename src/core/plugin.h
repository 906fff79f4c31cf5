// Finds and loads what is optional: libraries of ours that need one which a machine may lack.
#pragma once

#include <string>

namespace trireme {

struct Plugin {
  void* handle = nullptr;  ///< for dlsym; stays loaded for ever. nullptr: it could not be loaded
  std::string looked;      ///< then: each place, and why not from there, a line each
};

/// Looks in TRIREME_PLUGIN_PATH (folders, separated by colons), then beside the executable, then
/// beside this library, then where `cmake --install` puts plug-ins. `flags`: dlopen's.
Plugin load_plugin(const std::string& file_name, int flags);

}  // namespace trireme
