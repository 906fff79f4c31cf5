#include "trireme/ranks.h"

#include "api/agreement.h"
#include "api/world.h"
#include "comm/environment.h"
#include "comm/registry.h"
#include "comm/single.h"
#include "core/bytes.h"
#include "core/error.h"

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
  out.value(agreement.failure.has_value());
  out.value(agreement.failure ? agreement.failure->kind : ErrorKind::usage);
  out.string(agreement.failure ? agreement.failure->message : "");
  return out.take();
}

Agreement decode_agreement(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Agreement agreement{.isa = in.string()};
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
  // The launcher starts each replica of a batch as a group of its own.
  const int ranks = environment.replicas * world_->size();
  const Identity own = own_identity(options, environment.local_size);
  const std::vector<Message> all = world_->gather(0, trireme::encode(own));
  Message verdict;
  if (world_->rank() == 0) verdict = encode(decide(all, options, ranks, check_on_first));
  world_->broadcast(0, verdict);
  const Agreement agreement = decode_agreement(verdict);
  options_.isa = agreement.isa;
  if (!agreement.failure) return;
  world_.reset();  // the ranks part in peace
  throw CommonError(agreement.failure->kind, agreement.failure->message);
}

Ranks::Ranks(const Options& agreed, std::unique_ptr<Communicator> world)
    : options_(agreed), world_(std::move(world)) {}

Ranks Ranks::alone(const Options& agreed) {
  return Ranks(agreed, std::make_unique<SingleCommunicator>());
}

Ranks::~Ranks() = default;
Ranks::Ranks(Ranks&&) noexcept = default;
Ranks& Ranks::operator=(Ranks&&) noexcept = default;

std::unique_ptr<Communicator> Ranks::take_world() { return std::move(world_); }

}  // namespace trireme
