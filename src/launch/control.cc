#include "launch/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "comm/environment.h"
#include "core/bytes.h"
#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t prefix = length_prefix_bytes;

}  // namespace

ControlChannel::ControlChannel(int fd) : fd_(fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    fail(ErrorKind::usage, "descriptor {} is not a control channel: {}", fd, std::strerror(errno));
  }
}

ControlChannel::ControlChannel(ControlChannel&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ended_(other.ended_),
      incoming_(std::move(other.incoming_)),
      taken_(std::exchange(other.taken_, 0)),
      outgoing_(std::move(other.outgoing_)),
      written_(std::exchange(other.written_, 0)) {}

ControlChannel& ControlChannel::operator=(ControlChannel&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(ended_, other.ended_);
  std::swap(incoming_, other.incoming_);
  std::swap(taken_, other.taken_);
  std::swap(outgoing_, other.outgoing_);
  std::swap(written_, other.written_);
  return *this;
}

ControlChannel::~ControlChannel() {
  if (fd_ >= 0) close(fd_);
}

std::pair<ControlChannel, ControlChannel> ControlChannel::make_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    fail(ErrorKind::resource, "cannot create a socket pair: {}", std::strerror(errno));
  }
  return {ControlChannel(ends[0]), ControlChannel(ends[1])};
}

std::optional<ControlChannel> ControlChannel::from_environment() {
  const int fd = rank_environment().control_fd;
  if (fd < 0) return std::nullopt;
  return ControlChannel(fd);
}

void ControlChannel::post(std::string_view message) {
  TRIREME_ASSERT(message.size() <= most_bytes);
  outgoing_ += length_prefix(static_cast<std::uint32_t>(message.size()));
  outgoing_ += message;
  flush();
}

bool ControlChannel::flush() {
  while (written_ < outgoing_.size()) {
    const ssize_t count = ::send(fd_, outgoing_.data() + written_, outgoing_.size() - written_,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      written_ += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      written_ = outgoing_.size();  // the peer is gone; reading will say so
    }
  }
  constexpr std::size_t worth_moving = 1 << 20;
  if (written_ == outgoing_.size() || written_ > worth_moving) {
    outgoing_.erase(0, written_);
    written_ = 0;
  }
  return outgoing_.empty();
}

bool ControlChannel::send(std::string_view message) {
  post(message);
  while (!flush()) {
    wait(POLLIN | POLLOUT, [] {});
    read_available();
  }
  read_available();
  return !ended_;
}

std::optional<std::uint32_t> ControlChannel::next_size() const {
  if (incoming_.size() - taken_ < prefix) return std::nullopt;
  const std::uint32_t size = length_in(incoming_.data() + taken_);
  if (size > most_bytes) {
    fail(ErrorKind::peer_lost, "a control message of {} bytes (at most {}): the stream is damaged",
         size, most_bytes);
  }
  if (incoming_.size() - taken_ - prefix < size) return std::nullopt;
  return size;
}

void ControlChannel::read_available() {
  char bytes[65536];
  while (!ended_) {
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count > 0) {
      incoming_.append(bytes, static_cast<std::size_t>(count));
    } else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      ended_ = true;
    } else if (errno != EINTR) {
      return;
    }
  }
}

std::optional<std::string> ControlChannel::try_receive() {
  if (!next_size()) read_available();
  const std::optional<std::uint32_t> size = next_size();
  if (!size) return std::nullopt;
  std::string message = incoming_.substr(taken_ + prefix, *size);
  taken_ += prefix + *size;
  constexpr std::size_t worth_moving = 1 << 20;
  if (taken_ == incoming_.size() || taken_ > worth_moving) {
    incoming_.erase(0, taken_);
    taken_ = 0;
  }
  return message;
}

std::optional<std::string> ControlChannel::receive(const std::function<void()>& idle) {
  for (;;) {
    if (auto message = try_receive()) return message;
    if (ended_) return std::nullopt;
    const bool flushed = flush();
    wait(static_cast<short>(flushed ? POLLIN : POLLIN | POLLOUT), idle);
  }
}

void ControlChannel::wait(short events, const std::function<void()>& idle) {
  pollfd entry{fd_, events, 0};
  constexpr int milliseconds = 50;
  poll(&entry, 1, milliseconds);
  idle();
}

}  // namespace trireme
