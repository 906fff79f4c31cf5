#include "comm/mpi_plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"

namespace trireme {

namespace {

constexpr const char* plugin_name = "libtrireme_mpi.so";

/// The folder of the library or program that holds this very code.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) {
    return {};
  }
  std::error_code ignored;
  return std::filesystem::canonical(info.dli_fname, ignored).parent_path();
}

/// TRIREME_PLUGIN_PATH (folders, separated by colons), then beside the executable, then beside the
/// library, then where `cmake --install` puts it.
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

/// Stays loaded for ever: MPI cannot be started twice.
void* load() {
  std::string looked;
  for (const auto& folder : places()) {
    const std::filesystem::path file = folder / plugin_name;
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
      looked += "\n  " + folder.string() + ": not there";
      continue;
    }
    // Open MPI's own plug-ins look for its symbols globally.
    if (void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL)) return handle;
    const char* const reason = dlerror();
    looked += "\n  " + file.string() + ": " + (reason != nullptr ? reason : "cannot be loaded");
  }
  fail(ErrorKind::resource,
       "this process was started as an MPI rank, but the MPI transport ({}) cannot be loaded:{}\n"
       "Install MPI (Debian: apt install libopenmpi-dev openmpi-bin) and build again, or set "
       "TRIREME_PLUGIN_PATH to its folder. On one host no MPI is needed: run without mpirun.",
       plugin_name, looked);
}

}  // namespace

std::unique_ptr<Communicator> connect_mpi(const RankEnvironment& environment) {
  void* const symbol = dlsym(load(), "trireme_mpi_connect");
  if (symbol == nullptr) {
    fail(ErrorKind::resource,
         "{} is not of this version: it lacks trireme_mpi_connect; build again", plugin_name);
  }
  std::unique_ptr<Communicator> world(reinterpret_cast<MpiConnect>(symbol)());
  if (environment.size > 0 && world->size() != environment.size) {
    fail(
        ErrorKind::usage,
        "the environment says {} ranks, but MPI sees {}: start with a matching mpirun, under Slurm "
        "with `srun --mpi=pmix`; to run one rank inside a Slurm job unset SLURM_NTASKS",
        environment.size, world->size());
  }
  return world;
}

}  // namespace trireme
