// Who may not join, and is told why, on both sides: other keys, models, versions, and what does not
// speak the protocol at all. The job goes on.
#include <poll.h>

#include <chrono>

#include "batch/join_messages.h"
#include "core/error.h"
#include "fault/join_job.h"
#include "net/connecting.h"
#include "net/listener.h"

namespace trireme::testing {
namespace {

using Clock = std::chrono::steady_clock;

/// Turns `turn` until it gives something, at most twenty seconds.
template <typename Turn>
auto await_some(Turn turn) {
  const auto end = Clock::now() + std::chrono::seconds(20);
  auto some = turn();
  while (!some && Clock::now() < end) {
    poll(nullptr, 0, 2);
    some = turn();
  }
  return some;
}

class JoinRefused : public ::testing::Test, protected JoinJob {
 protected:
  SharedKey shared_key() const { return SharedKey::read(key()); }

  /// What the batch answers to somebody with the key who says this first.
  JoinMessage answer_to(const std::string& bytes) {
    const TlsContext context(shared_key(), TlsRole::client);
    Connecting connecting(resolve({"127.0.0.1", port()}, false), context, {});
    const auto stream = await_some([&] { return connecting.turn(); });
    if (!stream) throw std::runtime_error("no connection: " + connecting.reason());
    stream->post(bytes);
    const auto answer = await_some([&] {
      stream->turn();
      return stream->try_receive();
    });
    if (!answer) throw std::runtime_error("no answer: " + stream->reason());
    return decode_join(*answer);
  }
  std::string refusal_of(const std::string& bytes) {
    const JoinMessage answer = answer_to(bytes);
    const auto* refusal = std::get_if<RefusalMessage>(&answer);
    return refusal != nullptr ? refusal->reason : "it was not refused";
  }
  void expect_undisturbed() {
    give_rest();
    EXPECT_EQ(batch->wait().exit_code, 0) << batch->err();
    EXPECT_TRUE(job.written() == job.expected());
  }
};

TEST_F(JoinRefused, AnotherKey) {
  start_batch();
  const int at = port();
  write_file(key(), "another key, quite as long as it must be");
  const Outcome outcome = start_worker(at)->wait();
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  expect_said(outcome.err, "the keys differ");
  EXPECT_TRUE(said(*batch, "it has another key")) << batch->err();
  EXPECT_EQ(batch->err().find("another key, quite"), std::string::npos) << "a key in a message";
  expect_undisturbed();
}

TEST_F(JoinRefused, AnotherModel) {
  start_batch();
  const auto worker =
      start_worker(port(), {"--model", std::string(TRIREME_SOURCE_DIR) + "/demo/gpt2"});
  const Outcome outcome = worker->wait();
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  for (const std::string& text : {outcome.err, batch->err()}) {
    expect_said(text, "would not give the same answers");
    expect_said(text, " at the coordinator, ");
  }
  expect_undisturbed();
}

TEST_F(JoinRefused, AModelThatIsNotThere) {
  start_batch();
  const Outcome outcome = start_worker(port(), {"--model", "/no/such/model"})->wait();
  EXPECT_NE(outcome.exit_code, 0);
  expect_said(outcome.err, "/no/such/model");
  EXPECT_TRUE(said(*batch, "worker w1 cannot join")) << batch->err();
  expect_undisturbed();
}

TEST_F(JoinRefused, OtherVersions) {
  start_batch();
  HelloMessage hello{.version = "0.0.1", .name = "old", .instance = 1, .replicas = 1};
  expect_said(refusal_of(encode(JoinMessage(hello))), "0.0.1");
  hello.protocol = join_protocol + 1;
  expect_said(refusal_of(encode(JoinMessage(hello))),
              "speaks version " + std::to_string(join_protocol + 1));
  EXPECT_TRUE(said(*batch, "install the same", 2)) << batch->err();
  expect_undisturbed();
}

/// Somebody who knows the key and says what nobody says then, or cannot be said at all.
TEST_F(JoinRefused, BadMannersEndNothingButTheConnection) {
  start_batch();
  expect_said(refusal_of("\xff what is this"), "malformed");
  expect_said(refusal_of(encode(JoinMessage(AcceptMessage{}))), "not a first message");
  expect_said(refusal_of(encode(JoinMessage(ReplicaMessage{0, 0, "x"}))), "not a first message");
  HelloMessage hello{.version = "0.1.0", .name = "w", .instance = 1, .replicas = 0};
  expect_said(refusal_of(encode(JoinMessage(hello))), "number of replicas");
  hello.replicas = 1;
  hello.name = "\x1b[2J";
  expect_said(refusal_of(encode(JoinMessage(hello))), "name");
  EXPECT_EQ(batch->err().find('\x1b'), std::string::npos) << "a terminal is not for guests";
  expect_undisturbed();
}

TEST_F(JoinRefused, GarbageAtThePort) {
  start_batch();
  for (const std::string& text :
       {std::string(), std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100000, 'x')}) {
    NetDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress to = resolve({"127.0.0.1", port()}, false).at(0);
    ASSERT_EQ(connect(socket.get(), to.get(), to.size), 0);
    send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  EXPECT_TRUE(said(*batch, "was turned away")) << batch->err();
  expect_undisturbed();
  EXPECT_LE(count(batch->err(), "was turned away"), 2) << batch->err();
}

/// A coordinator of another numerics version, or with a model of another dtype.
class OtherTerms : public JoinRefused, public ::testing::WithParamInterface<const char*> {};

TEST_P(OtherTerms, TheWorkerRefuses) {
  const std::string here = std::string(GetParam()).substr(0, std::string(GetParam()).find('='));
  Listener listener({"127.0.0.1", 0}, shared_key(), {});
  const auto worker = start_worker(listener.address().port());
  const auto stream = await_some([&]() -> std::unique_ptr<SecureStream> {
    auto known = listener.turn();
    return known.empty() ? nullptr : std::move(known[0]);
  });
  ASSERT_TRUE(stream) << worker->err();
  const auto receive = [&] {
    const auto bytes = await_some([&] {
      stream->turn();
      return stream->try_receive();
    });
    return decode_join(bytes.value_or(""));
  };
  EXPECT_TRUE(std::holds_alternative<HelloMessage>(receive()));
  JoinTerms terms{.model = std::string(TRIREME_SOURCE_DIR) + "/demo/llama",
                  .revision = "main",
                  .dtype = "auto",
                  .quantization = "auto",
                  .load_format = "auto",
                  .identity = GetParam()};
  if (here != "numerics") terms.identity = "numerics=3\n" + terms.identity;
  stream->post(encode(JoinMessage(WelcomeMessage{"w1", 1, terms})));
  const JoinMessage answer = receive();
  const auto* refusal = std::get_if<RefusalMessage>(&answer);
  ASSERT_NE(refusal, nullptr);
  expect_said(refusal->reason, std::string(GetParam()) + " at the coordinator, " + here + "=");
  EXPECT_EQ(worker->wait().exit_code, 1) << worker->err();
  expect_said(worker->err(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Terms, OtherTerms, ::testing::Values("numerics=999", "dtype=float32"),
                         [](const auto& param) {
                           const std::string text = param.param;
                           return text.substr(0, text.find('='));
                         });

TEST_F(JoinRefused, WrongFlagsAreToldAtOnce) {
  const auto refused = [&](const Words& words, const std::string& part) {
    const Outcome outcome = run(trireme_program(), words);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    expect_said(outcome.err, part);
  };
  refused({"worker"}, "name one of");
  refused({"worker", "--join", "x:1"}, "--join-key");
  refused({"worker", "--join", "x", "--join-key", key()}, "HOST:PORT");
  refused({"worker", "--leave", "x", "--join-key", key()}, "--at");
  refused({"worker", "--join", "x:1", "--join-key", key(), "--name", "a b"}, "name");
  refused({"worker", "--join", "x:1", "--join-key", "/no/such/key"}, "/no/such/key");
  const Words words{"batch",      "-m",        std::string(TRIREME_SOURCE_DIR) + "/demo/llama",
                    "-i",         job.input(), "-o",
                    job.output(), "--listen",  "0"};
  refused(words, "--join-key");
  chmod(key().c_str(), 0644);
  Words readable = words;
  readable.insert(readable.end(), {"--join-key", key()});
  refused(readable, "chmod 600");
  EXPECT_FALSE(std::filesystem::exists(job.output()));
}

}  // namespace
}  // namespace trireme::testing
