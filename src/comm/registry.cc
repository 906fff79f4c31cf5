#include "comm/registry.h"

#include "comm/environment.h"
#include "comm/mpi_plugin.h"
#include "comm/rendezvous.h"
#include "comm/shm.h"
#include "comm/single.h"
#include "comm/tcp.h"
#include "core/error.h"

namespace trireme {

namespace {

std::unique_ptr<Communicator> connect_shm(const RankEnvironment& environment) {
  auto segment = std::make_shared<ShmSegment>(ShmSegment::attach(environment.shm_fd));
  if (segment->ranks() != environment.size || environment.rank >= environment.size) {
    fail(ErrorKind::usage,
         "TRIREME_RANK={} and TRIREME_WORLD_SIZE={}, but the shared memory is for {} ranks; start "
         "ranks with `trireme launch`",
         environment.rank, environment.size, segment->ranks());
  }
  return std::make_unique<ShmCommunicator>(std::move(segment), environment.rank);
}

std::unique_ptr<Communicator> connect_env(const RankEnvironment& environment) {
  if (environment.local_size >= environment.size) return connect_by_variables(environment);
  return connect_tcp(environment);
}

}  // namespace

std::unique_ptr<Communicator> connect() {
  const RankEnvironment environment = rank_environment();
  switch (environment.transport) {
    case RankTransport::single:
      return std::make_unique<SingleCommunicator>();
    case RankTransport::shm:
      return connect_shm(environment);
    case RankTransport::mpi:
      return connect_mpi(environment);
    case RankTransport::env:
      return connect_env(environment);
  }
  TRIREME_ASSERT(false);
  return nullptr;
}

std::vector<std::unique_ptr<Communicator>> connect_threads(int ranks) {
  std::vector<std::unique_ptr<Communicator>> all;
  if (ranks == 1) {
    all.push_back(std::make_unique<SingleCommunicator>());
    return all;
  }
  const auto segment = std::make_shared<ShmSegment>(ShmSegment::create(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    all.push_back(std::make_unique<ShmCommunicator>(segment, rank));
  }
  return all;
}

}  // namespace trireme
