// Ranks on several hosts find each other: a connection between every two, each end of which knows
// the run's secret.
#pragma once

#include <cstddef>
#include <map>
#include <span>

#include "comm/environment.h"
#include "comm/socket.h"

namespace trireme {

/// Connections by rank, and what both ends of all of them have agreed on.
using TcpPeers = std::map<int, Socket>;

/// Rank 0 listens at MASTER_ADDR:MASTER_PORT (under torchrun at the port after it, since its own
/// store has that one), the others where they reach rank 0 from. Each end proves that it knows
/// TRIREME_SECRET by an HMAC over both ends' random numbers; the connections are not encrypted.
/// Throws Error(usage | resource | peer_lost).
TcpPeers connect_mesh(const RankEnvironment& environment);

/// All of `bytes`, or false at the end of the connection or of the time.
bool send_all(const Socket& socket, std::span<const std::byte> bytes, SteadyTime end);
bool receive_all(const Socket& socket, std::span<std::byte> bytes, SteadyTime end);

/// How long ranks wait for each other to come: TRIREME_RENDEZVOUS_SECONDS (120).
std::chrono::seconds rendezvous_patience();

}  // namespace trireme
