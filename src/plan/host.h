// What this host gives a run: memory and cores, within the container's limits.
#pragma once

#include <cstdint>

namespace trireme {

struct HostMemory {
  std::int64_t total = 0;      ///< bytes; of the container if it is limited
  std::int64_t available = 0;  ///< that new allocations may take
  std::int64_t limit = 0;      ///< of the control group; 0: none
};

/// From /proc/meminfo and the control group (v1 or v2).
HostMemory host_memory();

/// Cores that this process may use: by its affinity mask and by the control group's quota.
struct HostCores {
  int online = 1;
  int allowed = 1;   ///< by the affinity mask
  double quota = 0;  ///< of the control group, in cores; 0: none
};
HostCores host_cores();

}  // namespace trireme
