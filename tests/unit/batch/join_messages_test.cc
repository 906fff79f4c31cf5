// What workers and the coordinator say when they join comes back as it was, and bytes that nobody
// wrote are refused.
#include "batch/join_messages.h"

#include <random>

#include "support/scratch.h"

namespace trireme {
namespace {

std::vector<JoinMessage> examples() {
  JoinTerms terms{.model = "demo/llama",
                  .revision = "main",
                  .dtype = "auto",
                  .quantization = "int8",
                  .load_format = "auto",
                  .load_seed = 7,
                  .max_model_len = 512,
                  .chat = true,
                  .identity = "numerics=3\ndtype=float32\n",
                  .started = 1700000000};
  return {HelloMessage{.version = "0.1.0", .name = "node-1", .instance = 5, .replicas = 2},
          LeaveRequest{.version = "0.1.0", .name = "node-1"},
          WelcomeMessage{"node-1", 9, terms},
          RefusalMessage{"no"},
          AcceptMessage{},
          ReplicaMessage{1, 3, std::string("\0bytes\n", 7)},
          ReplicaLostMessage{1, 11, "rank 0 was killed by signal 11"},
          LeavingMessage{},
          ByeMessage{Bye::stopped, 12, "stopped"}};
}

TEST(JoinMessages, RoundTrip) {
  for (const JoinMessage& message : examples()) {
    const std::string bytes = encode(message);
    EXPECT_EQ(encode(decode_join(bytes)), bytes);
  }
  const auto welcome = std::get<WelcomeMessage>(decode_join(encode(examples()[2])));
  EXPECT_EQ(welcome.terms, std::get<WelcomeMessage>(examples()[2]).terms);
}

TEST(JoinMessages, RefusesEveryPrefixAndSuffix) {
  for (const JoinMessage& message : examples()) {
    const std::string bytes = encode(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      message_of(ErrorKind::peer_lost,
                 [&] { decode_join(std::string_view(bytes).substr(0, size)); });
    }
    message_of(ErrorKind::peer_lost, [&] { decode_join(bytes + "x"); });
  }
}

TEST(JoinMessages, SurvivesFlippedBytes) {
  std::mt19937 random(1);
  const auto messages = examples();
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = encode(messages[random() % messages.size()]);
    bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      decode_join(bytes);
    } catch (const Error&) {
    }
  }
}

/// Whatever else a later version writes, the version is told.
TEST(JoinMessages, AnotherProtocolIsNamed) {
  std::string bytes =
      encode(JoinMessage(HelloMessage{.protocol = 77, .version = "9", .name = "w"}));
  expect_contains(message_of(ErrorKind::peer_lost, [&] { decode_join(bytes); }), "version 77");
  bytes.resize(9);
  expect_contains(message_of(ErrorKind::peer_lost, [&] { decode_join(bytes); }), "version 77");
}

TEST(JoinMessages, NamesAndNumbersHaveBounds) {
  const auto refused = [](const JoinMessage& message) {
    message_of(ErrorKind::peer_lost, [&] { decode_join(encode(message)); });
  };
  refused(HelloMessage{.name = "", .replicas = 1});
  refused(HelloMessage{.name = "a b", .replicas = 1});
  refused(HelloMessage{.name = "a\x1b[2J", .replicas = 1});
  refused(HelloMessage{.name = std::string(65, 'a'), .replicas = 1});
  refused(HelloMessage{.name = "a", .replicas = 0});
  refused(HelloMessage{.name = "a", .replicas = most_joined_replicas + 1});
  refused(ReplicaMessage{most_joined_replicas, 0, ""});
  refused(ReplicaLostMessage{most_joined_replicas, 0, ""});
}

TEST(JoinMessages, TheFirstDifferenceIsNamed) {
  EXPECT_EQ(first_difference("a=1\nb=2\n", "a=1\nb=2\n"), "");
  EXPECT_EQ(first_difference("a=1\nb=2\nc=3", "a=1\nb=4\nc=5"), "b=2 at the coordinator, b=4 here");
  EXPECT_EQ(first_difference("a=1\n", "a=1\nb=2\n"), "nothing at the coordinator, b=2 here");
  EXPECT_EQ(first_difference("a=1\nb=2", ""), "a=1 at the coordinator, nothing here");
}

TEST(JoinMessages, APeersWordsDoNothingToTheTerminal) {
  EXPECT_EQ(on_one_line("a\nb\x1b[2J\x7f"), "a b [2J ");
  EXPECT_EQ(on_one_line(std::string(5000, 'x')).size(), 2000u);
}

}  // namespace
}  // namespace trireme
