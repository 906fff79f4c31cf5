#include "api/world.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "comm/registry.h"
#include "core/bytes.h"
#include "core/error.h"
#include "kernels/registry.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

struct Membership {
  std::mutex mutex;
  std::weak_ptr<World> world;
  bool joined = false;  // once; where there are others a process that has left is gone
};

Membership& membership() {
  static Membership one;
  return one;
}

/// What one rank brings to an exchange.
struct Contribution {
  std::string call, kind, problem;
  Message payload;
};

Message encode(const Contribution& own, std::span<const std::byte> payload) {
  ByteWriter out;
  for (const std::string* text : {&own.call, &own.kind, &own.problem}) out.string(*text);
  out.array(payload);
  return out.take();
}

Contribution decode_contribution(const Message& bytes) {
  ByteReader in(bytes);
  Contribution rank;
  for (std::string* text : {&rank.call, &rank.kind, &rank.problem}) *text = in.string();
  rank.payload = in.array<std::byte>();
  return rank;
}

/// Why the contributions do not go together, or "".
std::string judge(const std::vector<Contribution>& ranks) {
  for (std::size_t i = 1; i < ranks.size(); ++i) {
    if (ranks[i].call == ranks[0].call) continue;
    return fmt::format(
        "process 0 calls {} while process {} calls {}; all processes make the same calls in the "
        "same order",
        ranks[0].call, i, ranks[i].call);
  }
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (!ranks[i].problem.empty()) {
      return fmt::format("{}: process {}: {}", ranks[i].call, i, ranks[i].problem);
    }
  }
  const auto told = [](const Contribution& rank) { return !rank.kind.empty(); };
  const auto first = std::find_if(ranks.begin(), ranks.end(), told);
  for (auto rank = first; rank != ranks.end(); ++rank) {
    if (!told(*rank) || rank->kind == first->kind) continue;
    return fmt::format("{}: process {} passes {}, process {} {}; all pass the same kind{}",
                       rank->call, first - ranks.begin(), first->kind, rank - ranks.begin(),
                       rank->kind,
                       first->kind.find("tensor") != std::string::npos
                           ? " (pad_across_processes makes dimensions equally long)"
                           : "");
  }
  return "";
}

/// On the first rank: the verdict and all payloads.
Message collect(const std::vector<Message>& messages) {
  std::vector<Contribution> ranks;
  for (const Message& message : messages) ranks.push_back(decode_contribution(message));
  ByteWriter out;
  const std::string problem = judge(ranks);
  out.string(problem);
  if (!problem.empty()) return out.take();
  for (const Contribution& rank : ranks) out.array(rank.payload);
  return out.take();
}

std::vector<int> all_of(int ranks) {
  std::vector<int> all(static_cast<std::size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

std::vector<Message> exchange(Communicator& ranks, std::string_view call, const std::string& kind,
                              std::span<const std::byte> payload, const std::string& problem) {
  const Contribution own{std::string(call), kind, problem, {}};
  const std::vector<Message> gathered = ranks.gather(0, encode(own, payload));
  Message all;
  if (ranks.rank() == 0) all = collect(gathered);
  ranks.broadcast(0, all);
  ByteReader in(all);
  const std::string verdict = in.string();
  if (!verdict.empty()) throw CommonError(ErrorKind::usage, verdict);
  std::vector<Message> payloads;
  for (int rank = 0; rank < ranks.size(); ++rank) payloads.push_back(in.array<std::byte>());
  return payloads;
}

std::shared_ptr<World> World::alive() {
  const std::lock_guard lock(membership().mutex);
  return membership().world.lock();
}

std::shared_ptr<World> World::join() {
  Membership& member = membership();
  const std::lock_guard lock(member.mutex);
  if (auto world = member.world.lock()) return world;
  if (member.joined && rank_place().started) {
    fail(ErrorKind::usage,
         "this process has left the other ranks with its last PartialState; keep one alive for as "
         "long as they are needed");
  }
  auto world = std::make_shared<World>(connect());
  member.world = world;
  member.joined = true;
  return world;
}

World::World(std::unique_ptr<Communicator> ranks) : ranks_(std::move(ranks)) {
  agree();
  if (ranks_->size() > 1) heart_ = std::thread([this] { live(); });
}

World::~World() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  if (heart_.joinable()) heart_.join();
}

/// One version, and an instruction set that all have.
void World::agree() {
  ByteWriter out;
  const std::vector<std::string> own = worthwhile_backends();
  for (const std::string& isa : own) out.string(isa);
  const auto all = exchange(*ranks_, fmt::format("trireme {}", version()), "", out.take());
  std::vector<std::vector<std::string>> isas;
  for (const Message& bytes : all) {
    ByteReader in(bytes);
    isas.emplace_back();
    while (!in.done()) isas.back().push_back(in.string());
  }
  isa_ = "reference";
  for (const std::string& isa : isas[0]) {
    const auto has = [&](const auto& rank) { return std::ranges::count(rank, isa) > 0; };
    if (std::ranges::all_of(isas, has)) isa_ = isa;
  }
}

/// A program may do anything between two collectives, or wait for a person: that it runs is sign
/// enough of life.
void World::live() {
  constexpr std::chrono::milliseconds beat{500};
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, beat, [this] { return stopped_; })) ranks_->heartbeat();
}

std::unique_ptr<Communicator> World::all() { return ranks_->group(all_of(ranks_->size())); }

}  // namespace trireme
