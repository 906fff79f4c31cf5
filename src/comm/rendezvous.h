// How ranks of one host that no launcher of ours has started (torchrun's variables) come to share
// memory.
#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/environment.h"

namespace trireme {

/// Rank 0 listens on a local socket named after user, MASTER_ADDR, MASTER_PORT and torchrun's run
/// id, and hands each rank the shared memory. The kernel vouches for who is at the other end: only
/// processes of the same user meet. The port itself stays free: torchrun's store listens there.
/// Afterwards each connection shows whether its other end lives: a rank that dies ends the waits of
/// all others at once. Throws Error(usage | resource | peer_lost) when not all ranks come within
/// TRIREME_RENDEZVOUS_SECONDS (120).
std::unique_ptr<Communicator> connect_by_variables(const RankEnvironment& environment);

}  // namespace trireme
