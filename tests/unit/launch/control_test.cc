#include "launch/control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "core/error.h"

namespace trireme {
namespace {

TEST(ControlChannel, CarriesWholeMessagesBothWaysInOrder) {
  auto [a, b] = ControlChannel::make_pair();
  EXPECT_EQ(a.try_receive(), std::nullopt);
  EXPECT_TRUE(a.send("first"));
  EXPECT_TRUE(a.send(""));
  EXPECT_TRUE(b.send(std::string(3, '\0')));
  EXPECT_EQ(b.receive(), "first");
  EXPECT_EQ(b.receive(), "");
  EXPECT_EQ(b.try_receive(), std::nullopt);
  EXPECT_EQ(a.receive(), std::string(3, '\0'));
  EXPECT_FALSE(a.closed());
}

TEST(ControlChannel, TwoEndsThatBothSendMuchDoNotWaitForEachOther) {
  auto [a, b] = ControlChannel::make_pair();
  const std::string large(20 << 20, 'x');
  const auto exchange = [&](ControlChannel& end) {
    EXPECT_TRUE(end.send(large));
    EXPECT_EQ(end.receive(), large);
  };
  std::thread other([&, &end = b] { exchange(end); });
  exchange(a);
  other.join();
}

TEST(ControlChannel, PostingNeverWaits) {
  auto [a, b] = ControlChannel::make_pair();
  const std::string large(10 << 20, 'x');
  for (int i = 0; i < 3; ++i) a.post(large);
  EXPECT_FALSE(a.flush());
  std::thread other([&, &end = b] {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(end.receive(), large);
  });
  while (!a.flush()) std::this_thread::yield();
  other.join();
}

TEST(ControlChannel, TheEndComesAfterTheLastMessage) {
  auto [a, b] = ControlChannel::make_pair();
  a.send("last words");
  { const ControlChannel gone = std::move(a); }
  EXPECT_FALSE(b.closed());
  EXPECT_EQ(b.receive(), "last words");
  EXPECT_EQ(b.receive(), std::nullopt);
  EXPECT_TRUE(b.closed());
  EXPECT_FALSE(b.send("anybody there?"));
}

TEST(ControlChannel, WaitingCallsIdle) {
  auto [a, b] = ControlChannel::make_pair();
  int calls = 0;
  const auto idle = [&, &end = b] {
    if (++calls == 3) end.send("enough");
  };
  EXPECT_EQ(a.receive(idle), "enough");
  EXPECT_GE(calls, 3);
}

TEST(ControlChannel, RefusesAnAbsurdLength) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ControlChannel channel(ends[0]);
  ASSERT_EQ(write(ends[1], "\xff\xff\xff\xff", 4), 4);
  EXPECT_THROW(channel.receive(), Error);
  close(ends[1]);
}

TEST(ControlChannel, RefusesADescriptorThatIsNone) { EXPECT_THROW(ControlChannel(987), Error); }

}  // namespace
}  // namespace trireme
