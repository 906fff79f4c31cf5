#include "comm/mpi_plugin.h"

#include <dlfcn.h>

#include "core/error.h"
#include "core/plugin.h"

namespace trireme {

namespace {

constexpr const char* plugin_name = "libtrireme_mpi.so";

/// Stays loaded for ever: MPI cannot be started twice.
void* load() {
  // Open MPI's own plug-ins look for its symbols globally.
  const Plugin plugin = load_plugin(plugin_name, RTLD_NOW | RTLD_GLOBAL);
  if (plugin.handle != nullptr) return plugin.handle;
  fail(ErrorKind::resource,
       "this process was started as an MPI rank, but the MPI transport ({}) cannot be loaded:{}\n"
       "Install MPI (Debian: apt install libopenmpi-dev openmpi-bin) and build again, or set "
       "TRIREME_PLUGIN_PATH to its folder. On one host no MPI is needed: run without mpirun.",
       plugin_name, plugin.looked);
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
