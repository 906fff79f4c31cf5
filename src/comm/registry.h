// Chooses the transport for this process and joins its group of ranks.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace trireme {

/// Joins the ranks that this process was started with: those of the embedded launcher over shared
/// memory, those of mpirun or Slurm over MPI, those of torchrun's variables, or none. Call once.
/// Throws Error(usage | resource).
std::unique_ptr<Communicator> connect();

/// Ranks that are threads of this process, whoever else was started: one for each thread.
std::vector<std::unique_ptr<Communicator>> connect_threads(int ranks);

}  // namespace trireme
