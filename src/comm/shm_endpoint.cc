#include "comm/shm_endpoint.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

namespace trireme {

namespace {

/// Copies between flat memory and a ring, which wraps.
void copy_in(std::byte* ring, std::size_t capacity, std::uint64_t position,
             std::span<const std::byte> from) {
  const std::size_t offset = position % capacity;
  const std::size_t first = std::min(from.size(), capacity - offset);
  if (first > 0) std::memcpy(ring + offset, from.data(), first);
  if (from.size() > first) std::memcpy(ring, from.data() + first, from.size() - first);
}

void copy_out(const std::byte* ring, std::size_t capacity, std::uint64_t position, std::byte* to,
              std::size_t size) {
  const std::size_t offset = position % capacity;
  const std::size_t first = std::min(size, capacity - offset);
  if (first > 0) std::memcpy(to, ring + offset, first);
  if (size > first) std::memcpy(to + first, ring, size - first);
}

std::uint64_t padding(std::uint64_t size, std::uint64_t unit) {
  return (unit - size % unit) % unit;
}

}  // namespace

ShmEndpoint::ShmEndpoint(std::shared_ptr<ShmSegment> segment, int rank)
    : segment_(std::move(segment)),
      rank_(rank),
      arriving_(static_cast<std::size_t>(segment_->ranks())) {
  heartbeat();
}

ShmEndpoint::~ShmEndpoint() {
  if (std::uncaught_exceptions() > exceptions_) {
    segment_->abort(fmt::format("rank {} stopped on an error", rank_));
  }
  segment_->mark_gone(rank_);
}

void ShmEndpoint::peer_left(int peer) const {
  segment_->throw_if_aborted();  // names the true reason, if there is one
  fail(ErrorKind::peer_lost, "rank {} has left while rank {} still waits for it", peer, rank_);
}

/// The bytes that may be written from `position` on. Negative while the padding of the last message
/// reaches beyond what the receiver has read.
std::int64_t ShmEndpoint::room(int to, std::uint64_t position) const {
  const ShmRing& ring = segment_->ring(rank_, to);
  return static_cast<std::int64_t>(segment_->ring_capacity()) -
         static_cast<std::int64_t>(position - ring.read.load());
}

void ShmEndpoint::wait_for_room(int to, std::uint64_t position, std::int64_t bytes) {
  if (room(to, position) >= bytes) return;
  ShmRank& receiver = segment_->rank(to);
  struct Wish {
    explicit Wish(ShmRank& to_rank) : rank(to_rank) { rank.room_wanted.fetch_add(1); }
    ~Wish() { rank.room_wanted.fetch_sub(1); }
    ShmRank& rank;
  } wish(receiver);
  segment_->notify(to);
  wait(to, [&] { return room(to, position) >= bytes; });
}

void ShmEndpoint::send(ShmChannel channel, int to, std::span<const std::byte> message) {
  if (to == rank_) {
    inbox_[{channel, to}].emplace_back(message.begin(), message.end());
    return;
  }
  ShmRing& ring = segment_->ring(rank_, to);
  std::byte* const bytes = segment_->ring_bytes(rank_, to);
  const std::size_t capacity = segment_->ring_capacity();
  std::uint64_t position = ring.written.load(std::memory_order_relaxed);

  const Header header{message.size(), channel, 0};
  wait_for_room(to, position, sizeof(header));
  copy_in(bytes, capacity, position, std::as_bytes(std::span(&header, 1)));
  position += sizeof(header);
  do {
    // A long message streams through in pieces, so that the receiver copies while this rank does.
    if (!message.empty()) wait_for_room(to, position, 1);
    const auto size =
        std::min({message.size(), capacity / 4,
                  static_cast<std::size_t>(std::max<std::int64_t>(0, room(to, position)))});
    copy_in(bytes, capacity, position, message.first(size));
    message = message.subspan(size);
    position += size;
    if (message.empty()) position += padding(header.size, sizeof(header));
    ring.written.store(position);
    segment_->notify(to);
  } while (!message.empty());
}

bool ShmEndpoint::drain_some(int from, Wanted* wanted) {
  ShmRing& ring = segment_->ring(from, rank_);
  std::uint64_t position = ring.read.load(std::memory_order_relaxed);
  const std::uint64_t end = ring.written.load();
  if (position == end) return false;
  Arriving& message = arriving_[static_cast<std::size_t>(from)];
  if (!message.started) {
    start_message(from, position, wanted);
    position += sizeof(Header);
  }
  const std::size_t size =
      std::min<std::uint64_t>(end - position, message.header.size - message.done);
  copy_out(segment_->ring_bytes(from, rank_), segment_->ring_capacity(), position,
           message.target + message.done, size);
  message.done += size;
  position += size;
  if (message.done == message.header.size) {
    position += padding(message.header.size, sizeof(Header));
    finish_message(from);
  }
  ring.read.store(position);
  if (own().room_wanted.load() != 0) segment_->notify(from);
  return true;
}

void ShmEndpoint::start_message(int from, std::uint64_t position, Wanted* wanted) {
  Arriving& message = arriving_[static_cast<std::size_t>(from)];
  copy_out(segment_->ring_bytes(from, rank_), segment_->ring_capacity(), position,
           reinterpret_cast<std::byte*>(&message.header), sizeof(Header));
  constexpr std::uint64_t absurd = std::uint64_t{1} << 40;
  TRIREME_ASSERT(message.header.size < absurd);
  message.started = true;
  message.done = 0;
  message.wanted = nullptr;
  if (wanted != nullptr && wanted->channel == message.header.channel) {
    TRIREME_ASSERT(wanted->into.size() == message.header.size);
    message.wanted = wanted;
    message.target = wanted->into.data();
  } else {
    message.storage.resize(message.header.size);
    message.target = message.storage.data();
  }
}

void ShmEndpoint::finish_message(int from) {
  Arriving& message = arriving_[static_cast<std::size_t>(from)];
  message.started = false;
  if (message.wanted != nullptr) {
    message.wanted->filled = true;
  } else {
    inbox_[{message.header.channel, from}].push_back(std::exchange(message.storage, {}));
  }
}

void ShmEndpoint::drain_all() {
  for (int from = 0; from < segment_->ranks(); ++from) {
    if (from != rank_) drain_some(from, nullptr);
  }
}

/// Whether the next message is here; takes what has arrived out of the ring. Idempotent.
bool ShmEndpoint::arrived(const std::deque<Message>& box, int from, Wanted* wanted) {
  const auto done = [&] { return !box.empty() || (wanted != nullptr && wanted->filled); };
  if (from == rank_) {
    TRIREME_ASSERT(!box.empty());  // nobody else could ever send it
    return true;
  }
  while (!done()) {
    if (!drain_some(from, wanted)) return false;
  }
  return true;
}

Message ShmEndpoint::receive(ShmChannel channel, int from) {
  std::deque<Message>& box = inbox_[{channel, from}];
  wait(from, [&] { return arrived(box, from, nullptr); });
  Message message = std::move(box.front());
  box.pop_front();
  return message;
}

std::optional<Message> ShmEndpoint::try_receive(ShmChannel channel, int from) {
  heartbeat();
  std::deque<Message>& box = inbox_[{channel, from}];
  if (from == rank_ && box.empty()) return std::nullopt;
  if (!arrived(box, from, nullptr)) {
    segment_->throw_if_aborted();
    // Whoever polls must learn that there is nothing to come.
    if (segment_->rank(from).gone.load() != 0 && !arrived(box, from, nullptr)) peer_left(from);
    return std::nullopt;
  }
  return receive(channel, from);
}

void ShmEndpoint::receive_into(ShmChannel channel, int from, std::span<std::byte> into) {
  std::deque<Message>& box = inbox_[{channel, from}];
  Wanted wanted{channel, into};
  Arriving& message = arriving_[static_cast<std::size_t>(from)];
  try {
    wait(from, [&] { return arrived(box, from, &wanted); });
  } catch (...) {
    if (message.started && message.wanted == &wanted) {  // `into` may not outlive this call
      message.wanted = nullptr;
      message.storage.resize(message.header.size);
      message.target = message.storage.data();
    }
    throw;
  }
  if (wanted.filled) return;
  TRIREME_ASSERT(box.front().size() == into.size());
  std::copy(box.front().begin(), box.front().end(), into.begin());
  box.pop_front();
}

}  // namespace trireme
