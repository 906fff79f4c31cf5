// Messages between ranks come back as they were written, and short ones are refused.
#include "core/bytes.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Bytes, RoundTrip) {
  ByteWriter out;
  out.value<std::int32_t>(-5);
  out.string("oars");
  out.array(std::vector<float>{1.5f, -2.0f});
  out.array(std::vector<std::int64_t>{});
  const std::vector<std::byte> bytes = out.take();
  ByteReader in(bytes);
  EXPECT_EQ(in.value<std::int32_t>(), -5);
  EXPECT_EQ(in.string(), "oars");
  EXPECT_EQ(in.array<float>(), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_TRUE(in.array<std::int64_t>().empty());
  EXPECT_TRUE(in.done());
}

TEST(Bytes, EveryCutIsNoticed) {
  ByteWriter out;
  out.string("three banks of oars");
  const std::vector<std::byte> bytes = out.take();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ByteReader in(std::span<const std::byte>(bytes).first(size));
    EXPECT_THROW(in.string(), Error) << size;
  }
}

TEST(Bytes, ALyingLengthIsRefusedBeforeItIsBelieved) {
  ByteWriter out;
  out.value<std::uint64_t>(~std::uint64_t{0});
  const std::vector<std::byte> bytes = out.take();
  ByteReader in(bytes);
  EXPECT_THROW(in.array<double>(), Error);
}

}  // namespace
}  // namespace trireme
