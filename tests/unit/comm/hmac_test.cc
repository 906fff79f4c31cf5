#include "comm/hmac.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace trireme {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string hex(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

/// RFC 4231, cases 2 and 6.
TEST(HmacSha256, OfTheStandardsExamples) {
  EXPECT_EQ(hex(hmac_sha256(bytes("Jefe"), bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(bytes(std::string(131, '\xaa')),
                            bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Digests, AreEqualOrNot) {
  const Digest a = hmac_sha256(bytes("key"), bytes("a"));
  Digest b = a;
  EXPECT_TRUE(equal_digests(a, b));
  b[31] ^= std::byte{1};
  EXPECT_FALSE(equal_digests(a, b));
}

}  // namespace
}  // namespace trireme
