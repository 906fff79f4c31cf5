// Whether this process was started as one of several ranks: by `trireme launch`, mpirun or Slurm.
#pragma once

#include <string>

#include "trireme/error.h"

namespace trireme {

struct RankPlace {
  bool started = false;            ///< as a rank; else the process is alone
  std::string transport = "none";  ///< "shm" or "mpi" if started
  int rank = 0;
  int ranks = 1;  ///< 0 when only connecting will tell
};

/// By the environment, without connecting. Throws Error(usage) when it contradicts itself.
RankPlace rank_place();

}  // namespace trireme
