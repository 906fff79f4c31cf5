// What shows a job (--report, --trace, --metrics, --quiet) changes none of its bytes and ends none
// of its runs, whatever goes wrong with it; and it is there when the job was disturbed.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "fault/job.h"
#include "support/unused_port.h"

namespace trireme::testing {
namespace {

/// Events of a kind of phase in a trace; nothing where it is no JSON.
std::optional<int> events(const std::string& text, std::string_view phase) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(text).get(document) != simdjson::SUCCESS) return std::nullopt;
  int count = 0;
  for (simdjson::dom::element event : document["traceEvents"]) {
    count += std::string_view(event["ph"]) == phase ? 1 : 0;
  }
  return count;
}

class Observe : public ::testing::TestWithParam<Words> {};

TEST_P(Observe, ChangesNoByteAndSurvivesAKilledRank) {
  Job job(150);
  const std::uintmax_t share = job.expected().size() / 4;
  Words plan = GetParam();
  for (const auto& flag : {"report", "trace"}) {
    plan.insert(plan.end(), {std::string("--") + flag, job.file(flag)});
  }
  const auto running = job.start(plan);
  ASSERT_TRUE(job.await_growth(*running, share));
  const auto ranks = running->ranks();
  ASSERT_FALSE(ranks.empty());
  send_signal(ranks.back().pid, SIGKILL);
  const Outcome outcome = running->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  const std::string trace = read_file(job.file("trace"));
  EXPECT_GT(events(trace, "X").value_or(0), 20);
  EXPECT_EQ(events(trace, "b").value_or(-1), 150);
  std::size_t loads = 0;
  for (std::size_t at = 0; (at = trace.find("\"name\":\"load\"", at)) != std::string::npos; ++at) {
    ++loads;
  }
  EXPECT_GT(loads, ranks.size()) << "what the killed rank did, and its successor";
  const std::string page = read_file(job.file("report"));
  EXPECT_NE(page.find("</html>"), std::string::npos);
  EXPECT_NE(page.find("<rect class=\"c1\""), std::string::npos);
  EXPECT_NE(outcome.err.find("row time"), std::string::npos) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(Plans, Observe,
                         ::testing::Values(Words{"-dp", "2"}, Words{"-tp", "2"},
                                           Words{"-pp", "2"}));

TEST(ObservedJob, IsThereWhenTheJobIsStopped) {
  Job job(150, {"--max-num-seqs", "4"});
  const std::uintmax_t some = job.expected().size() / 4;
  const auto running = job.start({"--report", job.file("report"), "--trace", job.file("trace")});
  ASSERT_TRUE(job.await_growth(*running, some));
  send_signal(running->pid(), SIGTERM);
  EXPECT_EQ(running->wait().exit_code, 5);
  EXPECT_NE(read_file(job.file("report")).find("ended early"), std::string::npos);
  EXPECT_GT(events(read_file(job.file("trace")), "X").value_or(0), 10);
}

TEST(ObservedJob, FilesThatCannotBeWrittenAreAWarning) {
  Job job(20);
  job.expected();
  std::filesystem::create_directory(job.file("trace.partial"));
  std::filesystem::create_directory(job.file("report.partial"));
  const Outcome outcome = job.run({"--report", job.file("report"), "--trace", job.file("trace")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(job.written() == job.expected());
  EXPECT_NE(outcome.err.find("warning: --trace"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: --report"), std::string::npos) << outcome.err;
}

TEST(ObservedJob, WhatCannotBeIsWrongUsageBeforeAnythingIsLoaded) {
  Job job(5);
  const int taken = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size);
  for (const Words& flags :
       {Words{"--metrics", std::to_string(ntohs(address.sin_port))}, Words{"--metrics", "nonsense"},
        Words{"--report", job.input()}, Words{"--trace", job.output()},
        Words{"--trace", job.file("no/such/folder/t.json")}}) {
    const Outcome outcome = job.run(flags);
    EXPECT_EQ(outcome.exit_code, 2) << flags[0] << " " << flags[1] << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(flags[0]), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(job.output()));
  }
  close(taken);
}

TEST(ObservedJob, QuietIsOneLine) {
  Job job(20);
  const Outcome outcome = job.run({"--quiet"});
  EXPECT_EQ(outcome.exit_code, 0);
  ASSERT_EQ(lines_of(outcome.err).size(), 1u) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("batch: 20/20 rows (100 %)")) << outcome.err;
}

/// What the port says to GET /metrics, or "" while nobody listens there.
std::string ask(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    constexpr std::string_view request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char bytes[4096];
    for (ssize_t count; (count = recv(fd, bytes, sizeof(bytes), 0)) > 0;) {
      answer.append(bytes, static_cast<std::size_t>(count));
    }
  }
  close(fd);
  return answer;
}

TEST(ObservedJob, MetricsAreServedWhileTheJobWaitsForRows) {
  Job job(20);
  job.expected();
  const std::string rows = read_file(job.input());
  const auto port = static_cast<std::uint16_t>(test::unused_port());
  std::optional<Pipe> pipe(std::in_place, job);
  const auto running = job.start({"-dp", "2", "--metrics", std::to_string(port)});
  pipe->fill(rows);
  std::string answer;
  ASSERT_TRUE(Job::await(*running, [&] {
    answer = ask(port);
    return answer.find("trireme_rows{state=\"answered\"} 20\n") != std::string::npos &&
           answer.find("trireme_rank_steps_total{replica=\"1\",rank=\"0\"}") != std::string::npos;
  })) << answer;
  EXPECT_NE(answer.find("trireme_input_complete 0\n"), std::string::npos) << answer;
  pipe.reset();
  EXPECT_EQ(running->wait().exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
