#include "net/connecting.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace trireme {

Connecting::Connecting(std::vector<SocketAddress> addresses, const TlsContext& context,
                       StreamLimits limits, NetClock::time_point now)
    : addresses_(std::move(addresses)), context_(context), limits_(limits) {
  try_next(now);
}

int Connecting::fd() const { return stream_ ? stream_->fd() : socket_.get(); }
short Connecting::wants() const { return stream_ ? stream_->wants() : short{POLLOUT}; }

void Connecting::try_next(NetClock::time_point now) {
  while (next_ < addresses_.size()) {
    const SocketAddress& address = addresses_[next_++];
    at_ = address.text();
    began_ = now;
    socket_ =
        NetDescriptor(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket_.open() &&
        (::connect(socket_.get(), address.get(), address.size) == 0 || errno == EINPROGRESS)) {
      return;
    }
    reason_ = fmt::format("{}: {}", at_, std::strerror(errno));
    socket_.close();
  }
  failed_ = true;
}

void Connecting::give_up_on_this(const std::string& reason, NetClock::time_point now) {
  reason_ = fmt::format("{}: {}", at_, reason);
  stream_.reset();
  socket_.close();
  try_next(now);
}

void Connecting::look_at_socket(NetClock::time_point now) {
  pollfd entry{socket_.get(), POLLOUT, 0};
  if (::poll(&entry, 1, 0) <= 0) {
    if (now - began_ >= limits_.handshake_timeout) give_up_on_this("no answer", now);
    return;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return give_up_on_this(std::strerror(error), now);
  stream_ = std::make_unique<SecureStream>(std::move(socket_), context_, limits_, at_, now);
}

std::unique_ptr<SecureStream> Connecting::turn(NetClock::time_point now) {
  if (failed_) return nullptr;
  if (!stream_) look_at_socket(now);
  if (!stream_) return nullptr;
  stream_->turn(now);
  if (stream_->authenticated()) return std::move(stream_);
  if (stream_->closed()) {
    other_key_ = other_key_ || stream_->other_key();
    give_up_on_this(std::string(stream_->reason()), now);
  }
  return nullptr;
}

}  // namespace trireme
