// Prometheus's numbers: well-formed text, served to who asks properly and to nobody at the cost of
// the job.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <list>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "batch/metrics_server.h"
#include "batch/metrics_text.h"
#include "support/scratch.h"

namespace trireme {
namespace {

constexpr std::int64_t second = 1'000'000'000;

JobWatch watched() {
  JobWatch watch(0);
  RankSample sample;
  sample.began_ns = 1;
  sample.ready_ns = 2;
  sample.busy_ns = second;
  sample.kv_blocks = 10;
  sample.kv_used = 5;
  watch.sample(0, 0, sample, second);
  watch.sample(0, 1, sample, second);
  for (std::uint64_t row = 0; row < 3; ++row) {
    watch.rows().read({row, row + 1, "abc"}, 1);
    watch.rows().hand_out({row, row + 1, "abc"}, 0, 1);
    watch.rows().answer({row, row + 1, "abc"}, {row, false, "{}", 2, 3}, second);
  }
  watch.tick({.rows_done = 3, .rows_known = 10, .rows_failed = 1, .in_flight = 2}, 2 * second);
  return watch;
}

/// Every line is a comment of a family or a sample of the family before it; values by name and
/// labels.
std::map<std::string, double> parse(const std::string& text) {
  static const std::regex sample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*",?)+\})? (\S+))re");
  std::map<std::string, double> values;
  std::set<std::string> families;
  std::string family;
  EXPECT_EQ(text.back(), '\n');
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name;
    words >> hash >> kind >> name;
    if (line.starts_with("# HELP ")) {
      EXPECT_TRUE(families.insert(name).second) << name << " comes twice";
      family = name;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(name, family);
    } else {
      std::smatch match;
      EXPECT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_TRUE(match[1].str().starts_with(family)) << line;
      EXPECT_TRUE(values.emplace(match[1].str() + match[2].str(), std::stod(match[4])).second);
    }
  }
  return values;
}

TEST(MetricsText, IsWellFormedAndSaysWhatIs) {
  const auto values = parse(metrics_text(watched(), 4 * second));
  EXPECT_EQ(values.at("trireme_rows{state=\"answered\"}"), 2);
  EXPECT_EQ(values.at("trireme_rows{state=\"failed\"}"), 1);
  EXPECT_EQ(values.at("trireme_rows{state=\"in_flight\"}"), 2);
  EXPECT_EQ(values.at("trireme_rows{state=\"queued\"}"), 5);
  EXPECT_EQ(values.at("trireme_prompt_tokens_total"), 6);
  EXPECT_EQ(values.at("trireme_new_tokens_total"), 9);
  EXPECT_EQ(values.at("trireme_kv_cache_use_ratio"), 0.5);
  EXPECT_EQ(values.at("trireme_rank_busy_seconds_total{replica=\"0\",rank=\"1\"}"), 1);
  EXPECT_EQ(values.at("trireme_job_seconds"), 4);
  double before = 0;
  for (int power = -7; power <= 12; ++power) {
    const std::string le = fmt::format("trireme_row_seconds_bucket{{le=\"{}\"}}", std::exp2(power));
    EXPECT_GE(values.at(le), before);
    before = values.at(le);
  }
  EXPECT_EQ(values.at("trireme_row_seconds_bucket{le=\"+Inf\"}"), 3);
  EXPECT_EQ(values.at("trireme_row_seconds_count"), 3);
}

class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Client() { close(fd_); }
  void send(const std::string& text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), std::ssize(text));
  }
  /// All until the server ends the connection, which serves meanwhile.
  std::string answer(MetricsServer& server, const std::string& body) {
    std::string all;
    for (char bytes[4096];;) {
      server.serve([&] { return body; });
      const ssize_t count = recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT);
      if (count == 0) return all;
      if (count > 0) all.append(bytes, static_cast<std::size_t>(count));
      if (count < 0 && errno != EAGAIN) return all;
    }
  }

 private:
  int fd_;
};

std::string ask(const std::string& request) {
  MetricsServer server("0");
  Client client(server.port());
  client.send(request);
  return client.answer(server, "a 1\n");
}

TEST(MetricsServer, AnswersWhoAsksProperly) {
  const std::string good = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(good.starts_with("HTTP/1.1 200 OK\r\n")) << good;
  expect_contains(good, "Content-Type: text/plain; version=0.0.4");
  expect_contains(good, "Content-Length: 4\r\n");
  EXPECT_TRUE(good.ends_with("\r\n\r\na 1\n")) << good;
  EXPECT_TRUE(ask("HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(ask("\x16\x03\x01 hello\r\n\r\n").starts_with("HTTP/1.1 400"));
}

TEST(MetricsServer, BoundsWhatItIsSent) {
  EXPECT_EQ(ask("GET /metrics HTTP/1.1\r\nX: " + std::string(10'000, 'x') + "\r\n\r\n"), "");
}

TEST(MetricsServer, AnswersInPiecesAndSlowClientsHinderNobody) {
  MetricsServer server("127.0.0.1:0");
  std::list<Client> silent;
  for (int i = 0; i < 5; ++i) silent.emplace_back(server.port());
  Client slow(server.port());
  slow.send("GET /met");
  server.serve([] { return ""; });
  Client quick(server.port());
  quick.send("GET /metrics HTTP/1.1\r\n\r\n");
  const std::string large(3 << 20, 'y');  // beyond what a socket takes at once
  EXPECT_TRUE(quick.answer(server, large).ends_with(large));
  slow.send("rics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(slow.answer(server, "b 2\n").ends_with("b 2\n"));
}

TEST(MetricsServer, RefusesWhatCannotBe) {
  for (const char* where :
       {"", "abc", "70000", "-1", ":80", "1.2.3.4:", "no.such.host.invalid:80"}) {
    message_of(ErrorKind::usage, [&] { MetricsServer server(where); });
  }
  MetricsServer first("0");
  const std::string port = std::to_string(first.port());
  expect_contains(message_of(ErrorKind::usage, [&] { MetricsServer other(port); }), port);
}

}  // namespace
}  // namespace trireme
