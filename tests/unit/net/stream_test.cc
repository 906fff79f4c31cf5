// Messages and signs of life between two ends that know the key.
#include <poll.h>

#include "support/scratch.h"
#include "unit/net/ends.h"

namespace trireme {
namespace {

TEST(Stream, MessagesArriveWholeAndInOrder) {
  Ends ends;
  ends.meet();
  const std::string large(5'000'000, 'x');
  ends.client->post("one");
  ends.client->post(large);
  ends.client->post("three");
  ends.server->post("back");
  std::vector<std::string> got;
  for (int i = 0; i < 200 && got.size() < 3; ++i) {
    ends.turn_both();
    while (auto message = ends.server->try_receive()) got.push_back(*message);
  }
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "one");
  EXPECT_TRUE(got[1] == large);
  EXPECT_EQ(got[2], "three");
  EXPECT_EQ(ends.client->try_receive(), "back");
}

TEST(Stream, WhatWasPostedBeforeTheyMetArrives) {
  Ends ends;
  ends.client->post("hello");
  ends.meet();
  ends.turn_both();
  EXPECT_EQ(ends.server->try_receive(), "hello");
}

TEST(Stream, TheEndComesAfterTheLastMessage) {
  Ends ends;
  ends.meet();
  ends.client->post("last");
  ends.client->finish();
  ends.turn_both(2);
  EXPECT_FALSE(ends.server->closed()) << "there is a message";
  EXPECT_EQ(ends.server->try_receive(), "last");
  EXPECT_TRUE(ends.server->closed());
}

TEST(Stream, OversizeEndsTheConnection) {
  Ends ends({.most_bytes = 1000});
  ends.meet();
  ends.client->post(std::string(1000, 'x'));
  ends.turn_both(2);
  EXPECT_TRUE(ends.server->try_receive().has_value());
  // The same through an end that does not know the limit.
  TlsContext server_context(good_key(), TlsRole::server);
  TlsContext client_context(good_key(), TlsRole::client);
  auto [a, b] = socket_pair();
  SecureStream server(std::move(a), server_context, {.most_bytes = 1000}, "worker");
  SecureStream client(std::move(b), client_context, {}, "coordinator");
  for (int i = 0; i < 3; ++i) client.turn(), server.turn();
  ASSERT_TRUE(server.authenticated());
  client.post(std::string(1001, 'x'));
  for (int i = 0; i < 3; ++i) client.turn(), server.turn();
  EXPECT_EQ(server.try_receive(), std::nullopt);
  EXPECT_TRUE(server.closed());
  expect_contains(server.reason(), "1001 bytes (at most 1000)");
}

TEST(Stream, ATruncatedMessageIsNone) {
  Ends ends;
  ends.meet();
  ends.client->post(std::string(3'000'000, 'x'));
  ends.client->flush(ends.now);
  ends.client.reset();  // killed in the middle
  for (int i = 0; i < 100 && !ends.server->closed(); ++i) ends.server->turn(ends.now);
  EXPECT_EQ(ends.server->try_receive(), std::nullopt);
  EXPECT_TRUE(ends.server->closed());
  expect_contains(ends.server->reason(), "closed");
}

TEST(Stream, SignsOfLifeKeepItOpen) {
  Ends ends;
  ends.meet();
  for (int i = 0; i < 1000; ++i) {  // 100 seconds without a message
    ends.now += milliseconds(100);
    ends.turn_both();
  }
  EXPECT_FALSE(ends.server->closed()) << ends.server->reason();
  EXPECT_FALSE(ends.client->closed()) << ends.client->reason();
  EXPECT_EQ(ends.server->try_receive(), std::nullopt) << "they are no messages";
}

/// The peer is there, but says nothing: a stopped process, a link that swallows everything.
TEST(Stream, SilenceIsNoticedInTime) {
  Ends ends({.peer_timeout = seconds(3)});
  ends.meet();
  const auto begin = ends.now;
  while (!ends.server->closed() && ends.now - begin < seconds(10)) {
    ends.now += milliseconds(100);
    ends.server->turn(ends.now);
  }
  EXPECT_TRUE(ends.server->closed());
  expect_contains(ends.server->reason(), "no sign of life for 3 s");
  EXPECT_LE(ends.now - begin, milliseconds(3100));
}

/// It is heard, but takes nothing.
TEST(Stream, AFullBufferIsNoticedInTime) {
  Ends ends({.peer_timeout = seconds(3)});
  ends.meet();
  ends.server->post(std::string(20'000'000, 'x'));
  const auto begin = ends.now;
  TlsContext context(good_key(), TlsRole::client);
  while (!ends.server->closed() && ends.now - begin < seconds(10)) {
    ends.now += milliseconds(100);
    ends.server->turn(ends.now);
    ends.client->post("heard");
    ends.client->flush(ends.now);  // writes, and never reads
    while (ends.server->try_receive()) {
    }
  }
  EXPECT_TRUE(ends.server->closed());
  expect_contains(ends.server->reason(), "takes nothing for 3 s");
}

/// After Ctrl-Z here: the peer's silence may be ours.
TEST(Stream, OwnAbsenceIsForgiven) {
  Ends ends;
  ends.meet();
  ends.now += seconds(60);
  ends.server->turn(ends.now);
  EXPECT_FALSE(ends.server->closed()) << ends.server->reason();
}

TEST(Stream, SaysWhatToPollFor) {
  Ends ends;
  ends.meet();
  ends.turn_both();
  EXPECT_EQ(ends.server->wants(), POLLIN);
  ends.server->post(std::string(20'000'000, 'x'));
  EXPECT_FALSE(ends.server->flush(ends.now));
  EXPECT_EQ(ends.server->wants(), POLLIN | POLLOUT);
}

/// Who does not take its messages is not sent more than the limit.
TEST(Stream, UnreadMessagesAreBounded) {
  Ends ends({.most_bytes = 100'000});
  ends.meet();
  for (int i = 0; i < 100; ++i) ends.client->post(std::string(100'000, 'x'));
  for (int i = 0; i < 100; ++i) ends.turn_both();
  EXPECT_EQ(ends.server->wants() & POLLIN, 0);
  EXPECT_FALSE(ends.client->flush(ends.now)) << "10 MB went somewhere";
}

}  // namespace
}  // namespace trireme
