#include "trireme/ranks.h"

#include "comm/environment.h"

namespace trireme {

RankPlace rank_place() {
  const RankEnvironment environment = rank_environment();
  RankPlace place;
  place.rank = environment.rank;
  place.ranks = environment.size;
  if (environment.transport == RankTransport::single) return place;
  place.started = true;
  place.transport = environment.transport == RankTransport::shm ? "shm" : "mpi";
  return place;
}

}  // namespace trireme
