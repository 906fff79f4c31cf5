#include "batch/join_link.h"

#include <algorithm>

#include "core/error.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_pause{100};
constexpr milliseconds longest_pause{5000};
constexpr milliseconds patience_for_parting{3000};

}  // namespace

JoinLink::JoinLink(const std::string& address, const std::string& key_file, StreamLimits limits)
    : text_(address),
      limits_(limits),
      context_(SharedKey::read(key_file), TlsRole::client),
      addresses_(resolve(parse_host_port(address, "--join"), false)),
      pause_(first_pause) {}

void JoinLink::add_poll(std::vector<pollfd>& polls) const {
  if (stream_) polls.push_back({stream_->fd(), stream_->wants(), 0});
  if (connecting_) polls.push_back({connecting_->fd(), connecting_->wants(), 0});
}

NetClock::duration JoinLink::down_for() const {
  return stream_ ? NetClock::duration(0) : NetClock::now() - down_since_;
}

JoinLink::Event JoinLink::turn() {
  const auto now = NetClock::now();
  if (stream_) {
    stream_->turn(now);
    if (!stream_->closed()) return Event::none;
    reason_ = stream_->reason();
    stream_.reset();
    down_since_ = try_at_ = now;
    pause_ = first_pause;
    return Event::lost;
  }
  if (!connecting_ && now >= try_at_) connecting_.emplace(addresses_, context_, limits_, now);
  if (!connecting_) return Event::none;
  stream_ = connecting_->turn(now);
  if (stream_) {
    connecting_.reset();
    return Event::connected;
  }
  if (!connecting_->failed()) return Event::none;
  // None of the host's addresses has another answer.
  if (connecting_->other_key()) {
    fail(ErrorKind::usage,
         "{}: the keys differ; --join-key must name a copy of the coordinator's key", text_);
  }
  reason_ = connecting_->reason();
  connecting_.reset();
  try_at_ = now + pause_;
  pause_ = std::min<NetClock::duration>(pause_ * 2, longest_pause);
  return Event::failed;
}

void JoinLink::post(const JoinMessage& message) {
  if (stream_) stream_->post(encode(message));
}

std::optional<JoinMessage> JoinLink::try_receive() {
  if (!stream_) return std::nullopt;
  const std::optional<std::string> bytes = stream_->try_receive();
  if (!bytes) return std::nullopt;
  return decode_join(*bytes);
}

void JoinLink::part() {
  if (!stream_) return;
  stream_->finish();
  const auto until = NetClock::now() + patience_for_parting;
  while (!stream_->closed() && NetClock::now() < until) {
    pollfd entry{stream_->fd(), stream_->wants(), 0};
    ::poll(&entry, 1, 100);
    stream_->turn();
    while (stream_->try_receive()) {
    }
  }
  stream_.reset();
}

}  // namespace trireme
