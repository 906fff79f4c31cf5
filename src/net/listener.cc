#include "net/listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace trireme {

namespace {

constexpr int accepted_at_once = 16;  // a flood of strangers must not keep the workers waiting
constexpr std::chrono::seconds pause_without_descriptors{1};
constexpr std::chrono::seconds between_refusals{10};
constexpr int backlog = 64;

NetDescriptor listening_at(const SocketAddress& address) {
  NetDescriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int one = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (!socket.open() || ::bind(socket.get(), address.get(), address.size) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    const int error = errno;
    socket.close();
    errno = error;
  }
  return socket;
}

}  // namespace

Listener::Listener(const HostPort& address, const SharedKey& key, StreamLimits limits)
    : context_(key, TlsRole::server), limits_(limits) {
  for (const SocketAddress& candidate : resolve(address, true)) {
    socket_ = listening_at(candidate);
    if (socket_.open()) break;
  }
  if (!socket_.open()) {
    fail(ErrorKind::resource,
         "cannot listen at {}: {}; name an address of this host and a free port (0: any)",
         text_of(address), std::strerror(errno));
  }
  getsockname(socket_.get(), address_.get(), &address_.size);
}

void Listener::add_polls(std::vector<pollfd>& polls) const {
  if (NetClock::now() >= accept_again_) polls.push_back({socket_.get(), POLLIN, 0});
  for (const auto& stranger : strangers_) polls.push_back({stranger->fd(), stranger->wants(), 0});
}

void Listener::accept_some(NetClock::time_point now) {
  if (now < accept_again_) return;
  for (int i = 0; i < accepted_at_once; ++i) {
    SocketAddress from;
    NetDescriptor socket(
        ::accept4(socket_.get(), from.get(), &from.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.open()) {
      const bool none = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (none) accept_again_ = now + pause_without_descriptors;
      return;
    }
    if (strangers_.size() >= most_strangers) strangers_.erase(strangers_.begin());
    strangers_.push_back(
        std::make_unique<SecureStream>(std::move(socket), context_, limits_, from.text(), now));
  }
}

std::vector<std::unique_ptr<SecureStream>> Listener::turn(NetClock::time_point now) {
  accept_some(now);
  std::vector<std::unique_ptr<SecureStream>> known;
  for (auto& stranger : strangers_) {
    stranger->turn(now);
    if (stranger->authenticated()) {
      known.push_back(std::move(stranger));
    } else if (stranger->closed()) {
      refuse(*stranger);
      stranger.reset();
    }
  }
  std::erase(strangers_, nullptr);
  return known;
}

void Listener::refuse(const SecureStream& stranger) {
  ++refused_;
  refusal_ = fmt::format("{} was turned away: {}", stranger.peer(), stranger.reason());
}

std::vector<std::string> Listener::take_refusals(NetClock::time_point now) {
  if (refused_ == 0) return {};
  if (told_at_ != NetClock::time_point{} && now - told_at_ < between_refusals) return {};
  told_at_ = now;
  const std::uint64_t others = std::exchange(refused_, 0) - 1;
  std::string text = std::exchange(refusal_, {});
  if (others > 0) text += fmt::format(" (and {} others before it)", others);
  return {text};
}

}  // namespace trireme
