// What a process learns about its place among the ranks from its environment, without connecting.
#pragma once

#include <chrono>
#include <string>

namespace trireme {

/// `env`: ranks that know each other's meeting point by torchrun's variables alone.
enum class RankTransport { single, shm, mpi, env };

/// Set by the embedded launcher (TRIREME_*), by mpirun, by Slurm, or by torchrun and whoever sets
/// its variables: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK, LOCAL_WORLD_SIZE.
struct RankEnvironment {
  RankTransport transport = RankTransport::single;
  int rank = 0;        ///< in the group that connect() joins
  int size = 1;        ///< of that group; 0 when only connecting will tell
  int local_rank = 0;  ///< among all ranks of the run on this host
  int local_size = 1;
  int replica = 0;  ///< which of the launcher's groups this rank is in; each has its own memory
  int replicas = 1;
  int shm_fd = -1;      ///< the group's shared memory (TRIREME_SHM_FD)
  int weights_fd = -1;  ///< memory for packed weights, shared by all replicas (TRIREME_WEIGHTS_FD)
  int control_fd =
      -1;  ///< a socket to the launcher, for the group's first rank (TRIREME_CONTROL_FD)
  std::string master_addr;  ///< where ranks meet (MASTER_ADDR, MASTER_PORT)
  int master_port = 0;
};

/// Throws Error(usage) when a variable is not a number or contradicts another.
RankEnvironment rank_environment();

/// How long a rank may show no sign of life before the others give it up: TRIREME_PEER_TIMEOUT, in
/// seconds, which `--peer-timeout` sets and ranks inherit; else ten.
inline constexpr const char* peer_timeout_variable = "TRIREME_PEER_TIMEOUT";
inline constexpr int least_peer_timeout = 2;  ///< seconds: signs of life come once a second
inline constexpr int most_peer_timeout = 86400;
/// Throws Error(usage) when the variable is no number between these two.
std::chrono::seconds peer_timeout();

}  // namespace trireme
