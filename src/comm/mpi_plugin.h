// Loads the MPI transport, which is a plug-in: a machine without MPI still runs.
#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/environment.h"

namespace trireme {

/// Throws Error(resource) that says what to install when the plug-in or MPI itself is missing,
/// Error(usage) when MPI knows another number of ranks than the environment.
std::unique_ptr<Communicator> connect_mpi(const RankEnvironment& environment);

/// What libtrireme_mpi.so exports as `trireme_mpi_connect`: joins the ranks of MPI_COMM_WORLD.
using MpiConnect = Communicator* (*)();

}  // namespace trireme
