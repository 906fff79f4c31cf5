// "host:port" as people write it.
#include "net/address.h"

#include "support/scratch.h"

namespace trireme {
namespace {

TEST(Address, HostsNumbersAndBrackets) {
  const HostPort name = parse_host_port("node1.local:7000", "--join");
  EXPECT_EQ(name.host, "node1.local");
  EXPECT_EQ(name.port, 7000);
  const HostPort six = parse_host_port("[::1]:0", "--join");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.port, 0);
  EXPECT_EQ(text_of(six), "[::1]:0");
  EXPECT_EQ(parse_host_port("7000", "--listen", "127.0.0.1").host, "127.0.0.1");
  EXPECT_EQ(parse_host_port("0.0.0.0:1", "--listen", "127.0.0.1").host, "0.0.0.0");
}

TEST(Address, RefusesWhatIsNone) {
  for (const char* const text : {"", ":", "host", "host:", ":7000", "host:x", "host:70000",
                                 "host:-1", "::1:7000", "[::1]", "[]:7000", "host:7000x"}) {
    expect_contains(message_of(ErrorKind::usage, [&] { parse_host_port(text, "--join"); }),
                    "HOST:PORT");
  }
  message_of(ErrorKind::usage, [] { parse_host_port("70000", "--listen", "127.0.0.1"); });
}

TEST(Address, NumbersResolveToThemselves) {
  const auto four = resolve({"127.0.0.1", 80}, false);
  ASSERT_EQ(four.size(), 1u);
  EXPECT_EQ(four[0].text(), "127.0.0.1:80");
  EXPECT_TRUE(four[0].loopback());
  const auto six = resolve({"::1", 80}, false);
  ASSERT_EQ(six.size(), 1u);
  EXPECT_EQ(six[0].text(), "[::1]:80");
  EXPECT_TRUE(six[0].loopback());
  EXPECT_FALSE(resolve({"10.0.0.1", 80}, false)[0].loopback());
  expect_contains(message_of(ErrorKind::usage,
                             [] {
                               resolve({"no.such.host.invalid", 80}, false);
                             }),
                  "cannot be found");
}

}  // namespace
}  // namespace trireme
