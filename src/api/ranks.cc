#include "trireme/ranks.h"

#include <unistd.h>

#include <algorithm>

#include "api/agreement.h"
#include "api/world.h"
#include "comm/environment.h"
#include "comm/registry.h"
#include "comm/single.h"
#include "comm/topology.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/shared_once.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

void check_world(const Options& options, int ranks) {
  const std::int64_t world = std::int64_t{options.data_parallel_size} *
                             options.tensor_parallel_size * options.pipeline_parallel_size;
  if (world == ranks) return;
  fail(ErrorKind::usage,
       "-dp {} -tp {} -pp {} makes {} ranks, but {} are running; start as many as the plan has, or "
       "change the plan",
       options.data_parallel_size, options.tensor_parallel_size, options.pipeline_parallel_size,
       world, ranks);
}

/// On the first rank: what all of them come to, and what the caller's check says to that.
Agreement decide(const std::vector<Message>& messages, Options options, int ranks,
                 const Ranks::Check& check) {
  std::vector<Identity> identities;
  for (const Message& message : messages) identities.push_back(decode_identity(message));
  Agreement agreement = agree(identities);
  if (agreement.failure) return agreement;
  options.isa = agreement.isa;
  try {
    options = agreement.options = place_on_devices(options);
    check_world(options, ranks);
    if (check) check(options, agreement.hosts);
  } catch (const Error& error) {
    agreement.failure = {error.kind(), error.what()};
  }
  return agreement;
}

Message encode(const Agreement& agreement) {
  ByteWriter out;
  out.string(agreement.isa);
  out.string(agreement.options.device_map);
  out.value(agreement.options.pipeline_parallel_size);
  out.value(agreement.options.kv_cache_bytes);
  out.value(agreement.failure.has_value());
  out.value(agreement.failure ? agreement.failure->kind : ErrorKind::usage);
  out.string(agreement.failure ? agreement.failure->message : "");
  return out.take();
}

Agreement decode_agreement(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Agreement agreement{.isa = in.string()};
  agreement.options.device_map = in.string();
  agreement.options.pipeline_parallel_size = in.value<int>();
  agreement.options.kv_cache_bytes = in.value<std::int64_t>();
  const bool failed = in.value<bool>();
  const auto kind = in.value<ErrorKind>();
  const std::string message = in.string();
  if (failed) agreement.failure = {kind, message};
  return agreement;
}

/// All ranks: as those that a PartialState has joined, or by joining them now.
std::unique_ptr<Communicator> join() {
  const std::shared_ptr<World> world = World::alive();
  return world ? world->all() : connect();
}

}  // namespace

RankPlace rank_place() {
  const RankEnvironment environment = rank_environment();
  RankPlace place;
  place.rank = environment.rank;
  place.ranks = environment.size;
  if (environment.transport == RankTransport::single) return place;
  place.started = true;
  place.transport = environment.transport == RankTransport::shm   ? "shm"
                    : environment.transport == RankTransport::mpi ? "mpi"
                                                                  : "env";
  return place;
}

Ranks::Ranks(const Options& options, const Check& check_on_first)
    : options_(options), world_(join()) {
  const RankEnvironment environment = rank_environment();
  local_size_ = environment.local_size;
  if (environment.weights_fd >= 0) weights_ = std::make_shared<const int>(environment.weights_fd);
  // The launcher starts each replica of a batch as a group of its own.
  const int ranks = environment.replicas * world_->size();
  const Identity own = own_identity(options, environment.local_size);
  const std::vector<Message> all = world_->gather(0, trireme::encode(own));
  Message verdict;
  if (world_->rank() == 0) verdict = encode(decide(all, options, ranks, check_on_first));
  world_->broadcast(0, verdict);
  const Agreement agreement = decode_agreement(verdict);
  options_.isa = agreement.isa;
  if (!agreement.failure) {
    options_.device_map = agreement.options.device_map;
    options_.pipeline_parallel_size = agreement.options.pipeline_parallel_size;
    options_.kv_cache_bytes = agreement.options.kv_cache_bytes;
    return;
  }
  world_.reset();  // the ranks part in peace
  throw CommonError(agreement.failure->kind, agreement.failure->message);
}

Ranks::Ranks(const Options& agreed, std::unique_ptr<Communicator> world)
    : options_(agreed), world_(std::move(world)) {}

Ranks Ranks::alone(const Options& agreed) {
  const Options options = place_on_devices(agreed);
  check_world(options, 1);
  Ranks ranks(options, std::make_unique<SingleCommunicator>());
  ranks.local_size_ = rank_environment().local_size;
  return ranks;
}

namespace {

/// A memory for weights that is given back with the last who knows of it.
std::shared_ptr<const int> make_weights_memory() {
  return {new int(SharedOnce::create_memory("trireme-weights")), [](const int* descriptor) {
            close(*descriptor);
            delete descriptor;
          }};
}

}  // namespace

std::vector<Ranks> Ranks::of_threads(const Options& agreed) {
  const Options options = place_on_devices(agreed);
  const ParallelSizes sizes{options.data_parallel_size, options.tensor_parallel_size,
                            options.pipeline_parallel_size};
  if (std::min({sizes.dp, sizes.tp, sizes.pp}) < 1) {
    fail(ErrorKind::usage, "-dp {} -tp {} -pp {}: each must be at least 1", sizes.dp, sizes.tp,
         sizes.pp);
  }
  std::vector<std::shared_ptr<const int>> memories(static_cast<std::size_t>(sizes.replica()));
  if (sizes.dp > 1) std::ranges::generate(memories, make_weights_memory);
  std::vector<Ranks> ranks;
  for (std::unique_ptr<Communicator>& world : connect_threads(sizes.world())) {
    const std::size_t place = ranks.size() % memories.size();
    ranks.push_back(Ranks(options, std::move(world)));
    ranks.back().are_threads_ = true;
    ranks.back().local_size_ = sizes.world();
    ranks.back().weights_ = memories[place];
  }
  return ranks;
}

Ranks::~Ranks() = default;
Ranks::Ranks(Ranks&&) noexcept = default;
Ranks& Ranks::operator=(Ranks&&) noexcept = default;

std::unique_ptr<Communicator> Ranks::take_world() { return std::move(world_); }

}  // namespace trireme
