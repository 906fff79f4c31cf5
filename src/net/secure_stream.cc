#include "net/secure_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/bytes.h"
#include "core/error.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t prefix = length_prefix_bytes;
constexpr milliseconds ping_every{1000};
/// Encrypted bytes that wait for the socket: enough to keep it busy, little enough to hold.
constexpr std::size_t most_encrypted = 256 * 1024;
constexpr std::size_t record = 16384;  // of TLS
constexpr std::size_t worth_moving = 1 << 20;
/// Read at a time, so that one busy peer does not keep the others waiting.
constexpr std::size_t most_read = 4 << 20;

std::string seconds_of(milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000);
}

void drop_taken(std::string& bytes, std::size_t& taken) {
  if (taken < bytes.size() && (taken < worth_moving || taken < bytes.size() / 2)) return;
  bytes.erase(0, taken);
  taken = 0;
}

}  // namespace

SecureStream::SecureStream(NetDescriptor socket, const TlsContext& context, StreamLimits limits,
                           std::string peer, NetClock::time_point now)
    : socket_(std::move(socket)),
      tls_(std::make_unique<TlsSession>(context)),
      limits_(limits),
      peer_(std::move(peer)),
      began_(now),
      heard_at_(now),
      pinged_at_(now),
      moved_at_(now),
      turned_at_(now) {
  fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
  const int one = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  flush(now);
}

short SecureStream::wants() const {
  // Who does not take what has come gets no more.
  const bool full = incoming_.size() - taken_ > limits_.most_bytes + prefix;
  const bool unsent =
      !tls_->outgoing().empty() || (authenticated() && encrypted_ < outgoing_.size());
  return static_cast<short>((full ? 0 : POLLIN) | (unsent ? POLLOUT : 0));
}

void SecureStream::turn(NetClock::time_point now) {
  if (!socket_.open()) return;
  read_available(now);
  if (socket_.open()) keep_alive(now);
  if (socket_.open()) flush(now);
  turned_at_ = now;
}

void SecureStream::read_available(NetClock::time_point now) {
  char bytes[65536];
  for (std::size_t total = 0; total < most_read && (wants() & POLLIN) != 0;) {
    const ssize_t count = recv(socket_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count < 0) return close(std::strerror(errno));
    if (count == 0) {
      return close(authenticated() ? "the connection was closed"
                                   : "the connection was closed before the keys were compared");
    }
    total += static_cast<std::size_t>(count);
    if (!authenticated() && (handshake_bytes_ += count) > limits_.handshake_bytes) {
      return close("it sends too much before it has shown that it knows the key");
    }
    tls_->receive({bytes, static_cast<std::size_t>(count)}, incoming_);
    heard_at_ = now;
    if (!tls_->failure().empty()) {
      flush(now);  // the alert, by which the peer knows why
      return close(tls_->failure());
    }
    if (tls_->ended()) return close("the connection was closed");
    if (incoming_.size() - taken_ >= prefix &&
        length_in(incoming_.data() + taken_) > limits_.most_bytes) {
      return close(fmt::format("a message of {} bytes (at most {}): the stream is damaged",
                               length_in(incoming_.data() + taken_), limits_.most_bytes));
    }
  }
}

void SecureStream::keep_alive(NetClock::time_point now) {
  if (!authenticated()) {
    if (now - began_ >= limits_.handshake_timeout) {
      close(fmt::format("it has not shown within {} that it knows the key",
                        seconds_of(limits_.handshake_timeout)));
    }
    return;
  }
  // When this process itself has stood still, silence proves nothing: what the peer sent meanwhile
  // may be on its way.
  const auto absence =
      std::min<NetClock::duration>(std::chrono::seconds(2), limits_.peer_timeout / 2);
  if (now - turned_at_ > absence) heard_at_ = moved_at_ = now;
  if (now - heard_at_ >= limits_.peer_timeout) {
    return close("no sign of life for " + seconds_of(limits_.peer_timeout));
  }
  if (now - moved_at_ >= limits_.peer_timeout) {
    return close("it takes nothing for " + seconds_of(limits_.peer_timeout));
  }
  if (now - pinged_at_ < std::min(ping_every, limits_.peer_timeout / 4)) return;
  pinged_at_ = now;
  if (outgoing_.empty() && !finishing_) outgoing_ += length_prefix(0);
}

void SecureStream::post(std::string_view message) {
  TRIREME_ASSERT(!message.empty() && message.size() <= limits_.most_bytes && !finishing_);
  if (!socket_.open()) return;
  outgoing_ += length_prefix(static_cast<std::uint32_t>(message.size()));
  outgoing_ += message;
  flush(turned_at_);
}

void SecureStream::finish() { finishing_ = true; }

bool SecureStream::flush(NetClock::time_point now) {
  while (socket_.open()) {
    while (authenticated() && encrypted_ < outgoing_.size() &&
           tls_->outgoing().size() < most_encrypted) {
      const std::size_t size = std::min(record, outgoing_.size() - encrypted_);
      tls_->send(std::string_view(outgoing_).substr(encrypted_, size));
      encrypted_ += size;
    }
    drop_taken(outgoing_, encrypted_);
    if (finishing_ && outgoing_.empty() && !std::exchange(finished_, true)) tls_->end();
    const std::string_view wire = tls_->outgoing();
    if (wire.empty()) {
      moved_at_ = now;
      return true;
    }
    const ssize_t count =
        ::send(socket_.get(), wire.data(), wire.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (count < 0) {
      // What the peer sent before it left is still to be read; then reading says why.
      if (errno != EPIPE && errno != ECONNRESET) close(std::strerror(errno));
      tls_->sent(wire.size());
      outgoing_.clear();
      encrypted_ = 0;
      return true;
    }
    tls_->sent(static_cast<std::size_t>(count));
    moved_at_ = now;
  }
  return true;
}

void SecureStream::close(std::string reason) {
  reason_ = std::move(reason);
  socket_.close();
}

std::optional<std::uint32_t> SecureStream::next_size() const {
  if (incoming_.size() - taken_ < prefix) return std::nullopt;
  const std::uint32_t size = length_in(incoming_.data() + taken_);
  if (size > limits_.most_bytes || incoming_.size() - taken_ - prefix < size) return std::nullopt;
  return size;
}

std::optional<std::string> SecureStream::try_receive() {
  while (const std::optional<std::uint32_t> size = next_size()) {
    std::string message = incoming_.substr(taken_ + prefix, *size);
    taken_ += prefix + *size;
    drop_taken(incoming_, taken_);
    if (!message.empty()) return message;
  }
  return std::nullopt;
}

}  // namespace trireme
