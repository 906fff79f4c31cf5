#include "comm/tcp.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/hash.h"

namespace trireme {

namespace {

constexpr std::int64_t most_floats = 1 << 22;  // of a chunk's pieces: keeps buffers small

std::vector<int> all_ranks(int count) {
  std::vector<int> ranks(static_cast<std::size_t>(count));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

/// The same number on all members, and another one for every group.
TcpChannel channel_of(const std::vector<int>& members, std::uint32_t nth) {
  const std::string_view bytes(reinterpret_cast<const char*>(members.data()),
                               members.size() * sizeof(int));
  return (fnv1a(bytes) * 0x9e3779b97f4a7c15 + nth + 1) << 1;
}

void copy_floats(const Message& message, float* to, std::int64_t count) {
  if (message.size() != static_cast<std::size_t>(count) * sizeof(float)) {
    fail(ErrorKind::peer_lost, "a sum from another rank has {} bytes", message.size());
  }
  if (count > 0) std::memcpy(to, message.data(), message.size());
}

}  // namespace

TcpCommunicator::TcpCommunicator(std::shared_ptr<TcpEndpoint> endpoint)
    : endpoint_(std::move(endpoint)),
      members_(all_ranks(endpoint_->size())),
      rank_(endpoint_->rank()) {}

TcpCommunicator::TcpCommunicator(std::shared_ptr<TcpEndpoint> endpoint, TcpChannel channel,
                                 std::vector<int> members)
    : endpoint_(std::move(endpoint)), channel_(channel), members_(std::move(members)) {
  const auto place = std::find(members_.begin(), members_.end(), endpoint_->rank());
  rank_ = static_cast<int>(place - members_.begin());
}

int TcpCommunicator::world(int rank) const {
  TRIREME_ASSERT(rank >= 0 && rank < size());
  return members_[static_cast<std::size_t>(rank)];
}

void TcpCommunicator::send(int to, std::span<const std::byte> message) {
  endpoint_->send(channel_, world(to), message);
}

Message TcpCommunicator::receive(int from) { return endpoint_->receive(channel_, world(from)); }

std::optional<Message> TcpCommunicator::try_receive(int from) {
  return endpoint_->try_receive(channel_, world(from));
}

void TcpCommunicator::receive_into(int from, std::span<std::byte> into) {
  const Message message = receive(from);
  TRIREME_ASSERT(message.size() == into.size());
  std::copy(message.begin(), message.end(), into.begin());
}

void TcpCommunicator::barrier() {
  gather(0, {});
  Message nothing;
  broadcast(0, nothing);
}

template <typename Part>
std::vector<Message> TcpCommunicator::exchange(const Part& part) {
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank_ + i) % size();
    endpoint_->send(channel_ + 1, world(peer), part(peer));
  }
  std::vector<Message> parts(static_cast<std::size_t>(size()));
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank_ + i) % size();
    parts[static_cast<std::size_t>(peer)] = endpoint_->receive(channel_ + 1, world(peer));
  }
  return parts;
}

void TcpCommunicator::tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                                      std::int64_t count, float* out) {
  TRIREME_ASSERT(static_cast<int>(sum.held.size()) == size() && count >= 0);
  const TreeSumPlan& plan = plans_.get(sum);
  TRIREME_ASSERT(static_cast<std::int64_t>(partials.size()) == plan.pieces(rank_).size());
  if (size() == 1) return plan.evaluate(partials, count, out);
  const std::int64_t chunk =
      std::max<std::int64_t>(1, most_floats / std::max<std::int64_t>(1, plan.piece_count()));
  std::vector<const float*> from(partials.begin(), partials.end());
  for (std::int64_t begin = 0; begin < count; begin += chunk) {
    const std::int64_t size = std::min(chunk, count - begin);
    reduce_chunk(plan, from, size, out + begin);
    for (const float*& partial : from) partial += size;
  }
}

/// Slices of the pieces go all to all; every rank adds up its slice; the finished slices are
/// gathered.
void TcpCommunicator::reduce_chunk(const TreeSumPlan& plan, std::span<const float* const> partials,
                                   std::int64_t count, float* out) {
  std::vector<float> outgoing;
  const auto slices_for = [&](int peer) {
    const Range slice = even_part(count, size(), peer);
    outgoing.clear();
    for (const float* const partial : partials) {
      outgoing.insert(outgoing.end(), partial + slice.begin, partial + slice.end);
    }
    return std::as_bytes(std::span<const float>(outgoing));
  };
  const std::vector<Message> incoming = exchange(slices_for);
  const Range mine = even_part(count, size(), rank_);
  std::vector<const float*> pieces;
  for (int peer = 0; peer < size(); ++peer) {
    const std::int64_t held = plan.pieces(peer).size();
    const Message& message = incoming[static_cast<std::size_t>(peer)];
    if (peer != rank_ &&
        message.size() != static_cast<std::size_t>(held * mine.size()) * sizeof(float)) {
      fail(ErrorKind::peer_lost, "rank {} sends {} bytes of a sum", peer, message.size());
    }
    const auto* const theirs = reinterpret_cast<const float*>(message.data());
    for (std::int64_t i = 0; i < held; ++i) {
      pieces.push_back(peer == rank_ ? partials[static_cast<std::size_t>(i)] + mine.begin
                                     : theirs + i * mine.size());
    }
  }
  plan.evaluate(pieces, mine.size(), out + mine.begin);
  const auto own = std::as_bytes(
      std::span<const float>(out + mine.begin, static_cast<std::size_t>(mine.size())));
  const std::vector<Message> finished = exchange([&](int) { return own; });
  for (int peer = 0; peer < size(); ++peer) {
    const Range slice = even_part(count, size(), peer);
    if (peer != rank_) {
      copy_floats(finished[static_cast<std::size_t>(peer)], out + slice.begin, slice.size());
    }
  }
}

std::vector<Message> TcpCommunicator::gather(int root, std::span<const std::byte> bytes) {
  if (rank_ != root) {
    endpoint_->send(channel_ + 1, world(root), bytes);
    return {};
  }
  std::vector<Message> all;
  for (int member = 0; member < size(); ++member) {
    all.push_back(member == rank_ ? Message(bytes.begin(), bytes.end())
                                  : endpoint_->receive(channel_ + 1, world(member)));
  }
  return all;
}

void TcpCommunicator::broadcast(int root, Message& bytes) {
  if (rank_ != root) {
    bytes = endpoint_->receive(channel_ + 1, world(root));
    return;
  }
  for (int i = 1; i < size(); ++i) {
    endpoint_->send(channel_ + 1, world((rank_ + i) % size()), bytes);
  }
}

std::unique_ptr<Communicator> TcpCommunicator::group(const std::vector<int>& ranks) {
  std::vector<int> members;
  for (const int rank : ranks) members.push_back(world(rank));
  TRIREME_ASSERT(std::count(members.begin(), members.end(), endpoint_->rank()) == 1);
  const TcpChannel channel = channel_of(members, endpoint_->next_group(members));
  return std::unique_ptr<Communicator>(new TcpCommunicator(endpoint_, channel, std::move(members)));
}

std::unique_ptr<Communicator> connect_tcp(const RankEnvironment& environment) {
  auto endpoint = std::make_shared<TcpEndpoint>(connect_mesh(environment), environment.rank);
  return std::make_unique<TcpCommunicator>(std::move(endpoint));
}

}  // namespace trireme
