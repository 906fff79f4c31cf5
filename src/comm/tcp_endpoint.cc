#include "comm/tcp_endpoint.h"

#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "comm/environment.h"
#include "comm/wait_time.h"
#include "core/error.h"

namespace trireme {

namespace {

constexpr std::chrono::seconds beat_every{1};
constexpr std::chrono::milliseconds look_every{200};
constexpr std::chrono::seconds delivery{5};
/// A message's memory is taken as it arrives: its size is another rank's word.
constexpr std::size_t grow_by = std::size_t{16} << 20;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;

}  // namespace

TcpEndpoint::TcpEndpoint(TcpPeers peers, int rank)
    : rank_(rank), silent_for_(peer_timeout()), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_.get() < 0) fail(ErrorKind::resource, "eventfd: {}", std::strerror(errno));
  for (auto& [peer, socket] : peers) peers_[peer].socket = std::move(socket);
  thread_ = std::thread([this] { read_for_ever(); });
}

TcpEndpoint::~TcpEndpoint() {
  if (std::uncaught_exceptions() > exceptions_) {
    abort(fmt::format("rank {} stopped on an error", rank_));
  }
  for (auto& [rank, peer] : peers_) write(peer, leave, 0, {});
  wait_until_delivered();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  thread_.join();
}

/// A connection that is closed with bytes unread drops what has not reached the other end.
void TcpEndpoint::wait_until_delivered() {
  const auto end = Clock::now() + delivery;
  for (auto& [rank, peer] : peers_) {
    int left = 0;
    while (ioctl(peer.socket.get(), SIOCOUTQ, &left) == 0 && left > 0 && Clock::now() < end &&
           !is_beyond_reach(peer)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

bool TcpEndpoint::is_beyond_reach(const Peer& peer) {
  const std::lock_guard lock(mutex_);
  return peer.closed || peer.silent;
}

void TcpEndpoint::send(TcpChannel channel, int to, std::span<const std::byte> message) {
  if (to == rank_) {
    const std::lock_guard lock(mutex_);
    inbox_[{channel, to}].emplace_back(message.begin(), message.end());
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    throw_if_failed();
  }
  if (write(peers_.at(to), data, channel, message)) return;
  // The thread that reads finds out why; who has taken its leave needs no message.
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, std::chrono::seconds(1), [this] { return failure_.has_value(); });
  throw_if_failed();
  fail(ErrorKind::peer_lost, "rank {} has left while rank {} still sends to it", to, rank_);
}

Message TcpEndpoint::receive(TcpChannel channel, int from) {
  std::unique_lock lock(mutex_);
  std::deque<Message>& box = inbox_[{channel, from}];
  const auto over = [&] {
    return !box.empty() || failure_ || (from != rank_ && peers_.at(from).closed);
  };
  if (!over()) {
    const WaitTime time(waited_ns_);
    arrived_.wait(lock, over);
  }
  throw_if_failed();
  if (box.empty()) {
    fail(ErrorKind::peer_lost, "rank {} has left while rank {} still waits for it", from, rank_);
  }
  Message message = std::move(box.front());
  box.pop_front();
  return message;
}

std::optional<Message> TcpEndpoint::try_receive(TcpChannel channel, int from) {
  const std::lock_guard lock(mutex_);
  throw_if_failed();
  std::deque<Message>& box = inbox_[{channel, from}];
  if (box.empty()) return std::nullopt;
  Message message = std::move(box.front());
  box.pop_front();
  return message;
}

void TcpEndpoint::abort(std::string_view reason) noexcept {
  try {
    fail_all(std::string(reason));
    for (auto& [rank, peer] : peers_) write(peer, stop, 0, std::as_bytes(std::span(reason)));
  } catch (...) {  // who cannot be told will notice that this rank is gone
  }
}

void TcpEndpoint::throw_if_failed() const {
  if (failure_) throw Error(ErrorKind::peer_lost, *failure_);
}

bool TcpEndpoint::has_failed() {
  const std::lock_guard lock(mutex_);
  return failure_.has_value();
}

/// The first reason stays.
void TcpEndpoint::fail_all(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = reason;
  arrived_.notify_all();
}

bool TcpEndpoint::write(Peer& peer, Kind kind, TcpChannel channel,
                        std::span<const std::byte> bytes) {
  const Header header{bytes.size(), channel, kind, 0};
  const std::lock_guard lock(peer.sending);
  return write_all(peer, std::as_bytes(std::span(&header, 1))) && write_all(peer, bytes);
}

/// Waits for the other end to make room, which it does as long as it lives.
bool TcpEndpoint::write_all(Peer& peer, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(peer.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd entry{peer.socket.get(), POLLOUT, 0};
      poll(&entry, 1, static_cast<int>(look_every.count()));
      if (has_failed()) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void TcpEndpoint::read_for_ever() {
  for (;;) {
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}};
    std::vector<int> ranks;
    for (auto& [rank, peer] : peers_) {
      if (peer.closed) continue;
      entries.push_back({peer.socket.get(), POLLIN, 0});
      ranks.push_back(rank);
    }
    const int count = poll(entries.data(), entries.size(), static_cast<int>(look_every.count()));
    if (count > 0 && entries[0].revents != 0) return;
    for (std::size_t i = 0; count > 0 && i < ranks.size(); ++i) {
      if (entries[i + 1].revents != 0) read_from(ranks[i], peers_.at(ranks[i]));
    }
    const auto now = Clock::now();
    beat(now);
    blame_silent(now);
  }
}

/// What is there, up to a few pieces, so that everybody gets a turn.
void TcpEndpoint::read_from(int rank, Peer& peer) {
  peer.heard_at = Clock::now();
  for (int pieces = 0; pieces < 64; ++pieces) {
    const auto header = std::as_writable_bytes(std::span(&peer.header, 1));
    if (peer.header_done < header.size()) {
      if (!read_some(peer, header.subspan(peer.header_done), peer.header_done)) break;
      if (peer.header_done < header.size()) continue;
      if (peer.header.size > most_bytes) return lost(rank, peer);
      peer.message.clear();
    }
    if (peer.message.size() < peer.header.size) {
      std::size_t done = peer.message.size();
      peer.message.resize(std::min<std::size_t>(peer.header.size, done + grow_by));
      const bool some = read_some(peer, std::span(peer.message).subspan(done), done);
      peer.message.resize(done);
      if (!some) break;
    }
    if (peer.message.size() == peer.header.size) finish_message(rank, peer);
  }
  if (peer.ended) lost(rank, peer);
}

/// Adds to `done`. False when nothing is there, or nothing will come: then `ended` is set.
bool TcpEndpoint::read_some(Peer& peer, std::span<std::byte> into, std::size_t& done) {
  const ssize_t count = recv(peer.socket.get(), into.data(), into.size(), 0);
  if (count > 0) {
    done += static_cast<std::size_t>(count);
    return true;
  }
  peer.ended = count == 0 || (errno != EAGAIN && errno != EINTR);
  return false;
}

void TcpEndpoint::finish_message(int rank, Peer& peer) {
  peer.header_done = 0;
  switch (peer.header.kind) {
    case data: {
      const std::lock_guard lock(mutex_);
      inbox_[{peer.header.channel, rank}].push_back(std::move(peer.message));
      arrived_.notify_all();
      break;
    }
    case leave: {
      const std::lock_guard lock(mutex_);
      peer.gone = true;
      break;
    }
    case stop:
      fail_all({reinterpret_cast<const char*>(peer.message.data()), peer.message.size()});
      break;
    case sign_of_life:
      break;
  }
  peer.message = {};
}

/// The connection has ended. Who waits learns that together with the reason.
void TcpEndpoint::lost(int rank, Peer& peer) {
  const std::lock_guard lock(mutex_);
  peer.closed = true;
  if (!peer.gone && !failure_) failure_ = fmt::format("rank {} has died", rank);
  arrived_.notify_all();
}

void TcpEndpoint::beat(Clock::time_point now) {
  if (now - beat_at_ < beat_every) return;
  beat_at_ = now;
  const Header header{0, 0, sign_of_life, 0};
  for (auto& [rank, peer] : peers_) {
    // Who is in the middle of a message shows life by that.
    const std::unique_lock lock(peer.sending, std::try_to_lock);
    if (peer.closed || !lock.owns_lock()) continue;
    pollfd entry{peer.socket.get(), POLLOUT, 0};
    if (poll(&entry, 1, 0) > 0) write_all(peer, std::as_bytes(std::span(&header, 1)));
  }
}

void TcpEndpoint::blame_silent(Clock::time_point now) {
  // Who was away itself (stopped, or without a processor) has missed the others' signs of life.
  const bool was_away = now - looked_at_ > std::chrono::seconds(2);
  looked_at_ = now;
  for (auto& [rank, peer] : peers_) {
    if (was_away) peer.heard_at = now;
    if (peer.closed || now - peer.heard_at < silent_for_) continue;
    {
      const std::lock_guard lock(mutex_);
      peer.silent = true;
    }
    fail_all(fmt::format("rank {} hangs: no sign of life for {} s", rank, silent_for_.count()));
  }
}

}  // namespace trireme
