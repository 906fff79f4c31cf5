// What every transport must do: the collective suite, run by each rank of a communicator.
#pragma once

#include "comm/communicator.h"

namespace trireme {

/// Runs every collective and message pattern on `world` and compares with what must come out.
/// Throws std::runtime_error that names the case. The hash covers all results and is the same for
/// any number of ranks and any transport.
std::uint64_t run_comm_suite(Communicator& world);

}  // namespace trireme
