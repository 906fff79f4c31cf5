// A listener and those who come to it: with the key, with another one, with bad manners.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "support/scratch.h"
#include "unit/net/ends.h"

namespace trireme {
namespace {

constexpr StreamLimits limits{};

class Strangers : public ::testing::Test {
 protected:
  /// Turns the listener until it has let somebody in, turned somebody away, or `enough`.
  void turn_until(const std::function<bool()>& enough) {
    const auto end = NetClock::now() + seconds(20);
    bool done = false;
    while (!(done = enough()) && NetClock::now() < end) {
      std::vector<pollfd> polls;
      listener.add_polls(polls);
      if (connecting) polls.push_back({connecting->fd(), connecting->wants(), 0});
      poll(polls.data(), polls.size(), 20);
      for (auto& stream : listener.turn(now())) known.push_back(std::move(stream));
      if (connecting && !client) client = connecting->turn(now());
      for (std::string& text : listener.take_refusals(now() + told_ahead)) {
        refusals.push_back(std::move(text));
      }
    }
    EXPECT_TRUE(done) << "nothing happens";
  }
  NetClock::time_point now() const { return NetClock::now() + ahead; }
  std::vector<SocketAddress> here() const { return {listener.address()}; }

  NetDescriptor connect_plainly() {
    NetDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress& to = listener.address();
    EXPECT_EQ(::connect(socket.get(), to.get(), to.size), 0);
    return socket;
  }
  static bool is_shut(const NetDescriptor& socket) {
    char byte = 0;
    const ssize_t count = recv(socket.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count == 0 || (count < 0 && errno != EAGAIN);
  }

  Listener listener{{"127.0.0.1", 0}, good_key(), limits};
  std::vector<std::unique_ptr<SecureStream>> known;
  std::vector<std::string> refusals;
  std::optional<Connecting> connecting;
  std::unique_ptr<SecureStream> client;
  std::chrono::milliseconds ahead{0};
  std::chrono::milliseconds told_ahead{0};
};

TEST_F(Strangers, TheKeyLetsIn) {
  const TlsContext context(good_key(), TlsRole::client);
  connecting.emplace(here(), context, limits);
  turn_until([&] { return client && !known.empty(); });
  client->post("hello");
  client->turn();
  std::optional<std::string> got;
  turn_until([&] {
    known[0]->turn();
    return (got = known[0]->try_receive()).has_value();
  });
  EXPECT_EQ(got, "hello");
  EXPECT_TRUE(refusals.empty());
}

TEST_F(Strangers, AnotherKeyIsToldOnBothSides) {
  const TlsContext context(key_of("another key, long enough"), TlsRole::client);
  connecting.emplace(here(), context, limits);
  turn_until([&] { return connecting->failed() && !refusals.empty(); });
  expect_contains(connecting->reason(), "the keys differ");
  expect_contains(refusals[0], "it has another key");
  EXPECT_TRUE(known.empty());
}

TEST_F(Strangers, APortScannerAndGarbageAreTurnedAway) {
  connect_plainly();  // and gone
  turn_until([&] { return !refusals.empty(); });
  expect_contains(refusals[0], "before the keys were compared");
  told_ahead = seconds(20);  // the next one may be told
  const NetDescriptor other = connect_plainly();
  const std::string text = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(send(other.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  turn_until([&] { return refusals.size() == 2; });
  expect_contains(refusals[1], "does not speak as Trireme does");
  EXPECT_TRUE(known.empty());
}

TEST_F(Strangers, ManyRefusalsAreOneLine) {
  for (int i = 0; i < 20; ++i) connect_plainly();
  turn_until([&] { return !refusals.empty(); });
  std::vector<NetDescriptor> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(connect_plainly());
  const auto all_shut = [&] {
    for (const NetDescriptor& socket : waiting) shutdown(socket.get(), SHUT_WR);
    return std::all_of(waiting.begin(), waiting.end(), is_shut);
  };
  turn_until(all_shut);
  EXPECT_EQ(refusals.size(), 1u);
  told_ahead = seconds(20);
  turn_until([&] { return refusals.size() == 2; });
  expect_contains(refusals[1], "others before it");
}

/// Half open: connects, and says nothing.
TEST_F(Strangers, SilenceIsGivenFiveSeconds) {
  const NetDescriptor silent = connect_plainly();
  std::vector<pollfd> polls;
  turn_until([&] {
    polls.clear();
    listener.add_polls(polls);
    return polls.size() == 2;
  });
  EXPECT_FALSE(is_shut(silent));
  ahead = milliseconds(5100);
  turn_until([&] { return is_shut(silent); });
  ASSERT_FALSE(refusals.empty());
  expect_contains(refusals[0], "within 5 s");
}

/// A byte now and then does not help: it is the whole that must be there in time.
TEST_F(Strangers, ASlowLorisIsGivenNoMore) {
  const NetDescriptor slow = connect_plainly();
  const TlsContext context(good_key(), TlsRole::client);
  const TlsSession hello(context);
  const std::string bytes(hello.outgoing());
  std::size_t sent = 0;
  turn_until([&] {
    if (sent < bytes.size() - 10) {
      send(slow.get(), bytes.data() + sent++, 1, MSG_NOSIGNAL);
      ahead += milliseconds(100);
    }
    return is_shut(slow);
  });
  EXPECT_LT(sent, 70u);
  expect_contains(refusals.at(0), "within 5 s");
}

TEST_F(Strangers, TooMuchBeforeTheKeyEndsIt) {
  const NetDescriptor flood = connect_plainly();
  // A record of a handshake that announces far more than it brings.
  const std::string hello = std::string("\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9);
  send(flood.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  const std::string more(16000, '\0');
  turn_until([&] {
    send(flood.get(), more.data(), more.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return is_shut(flood);
  });
  EXPECT_TRUE(known.empty());
}

/// However many come and stay, who has the key gets in.
TEST_F(Strangers, ACrowdDoesNotKeepAFriendOut) {
  std::vector<NetDescriptor> crowd;
  for (std::size_t i = 0; i < Listener::most_strangers + 20; ++i) {
    crowd.push_back(connect_plainly());
    for (auto& stream : listener.turn(now())) known.push_back(std::move(stream));
  }
  const TlsContext context(good_key(), TlsRole::client);
  connecting.emplace(here(), context, limits);
  turn_until([&] { return client && !known.empty(); });
  std::vector<pollfd> polls;
  listener.add_polls(polls);
  EXPECT_LE(polls.size(), Listener::most_strangers + 1);
  EXPECT_TRUE(is_shut(crowd[0])) << "the oldest one goes";
}

TEST_F(Strangers, NobodyListensAndNobodyAnswers) {
  const TlsContext context(good_key(), TlsRole::client);
  const auto refused = resolve({"127.0.0.1", 1}, false);
  Connecting closed(refused, context, limits);
  const auto end = NetClock::now() + seconds(10);
  while (!closed.failed() && NetClock::now() < end) closed.turn();
  expect_contains(closed.reason(), "127.0.0.1:1");
  // Accepts by the kernel, but nobody examines.
  connecting.emplace(here(), context, limits);
  while (!connecting->failed() && NetClock::now() < end) {
    connecting->turn(NetClock::now() + ahead);
    ahead += milliseconds(100);
  }
  EXPECT_TRUE(connecting->failed());
  expect_contains(connecting->reason(), "within 5 s");
}

/// The first address of a name does not answer, the second one does.
TEST_F(Strangers, EveryAddressIsTried) {
  const TlsContext context(good_key(), TlsRole::client);
  std::vector<SocketAddress> addresses = resolve({"127.0.0.1", 1}, false);
  addresses.push_back(listener.address());
  connecting.emplace(addresses, context, limits);
  turn_until([&] { return client && !known.empty(); });
}

TEST(Listening, SixIsAsGoodAsFour) {
  try {
    Listener listener({"::1", 0}, good_key(), limits);
    EXPECT_EQ(listener.address().text().substr(0, 6), "[::1]:");
    EXPECT_TRUE(listener.address().loopback());
  } catch (const Error& error) {
    GTEST_SKIP() << "SKIP: no IPv6 here: " << error.what();
  }
}

TEST(Listening, ATakenPortIsRefused) {
  const Listener first({"127.0.0.1", 0}, good_key(), limits);
  expect_contains(message_of(ErrorKind::resource,
                             [&] {
                               Listener({"127.0.0.1", first.address().port()}, good_key(), limits);
                             }),
                  "cannot listen");
}

}  // namespace
}  // namespace trireme
