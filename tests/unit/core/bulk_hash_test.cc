// The hash that vouches for gigabytes: fixed for ever, and no change of a byte goes unnoticed.
#include "core/bulk_hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

std::vector<std::byte> numbered(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 256);
  return bytes;
}

TEST(BulkHash, NeverChanges) {
  EXPECT_EQ(bulk_hash({}), 0x8813fa1cbc461847ull);
  EXPECT_EQ(bulk_hash(numbered(1)), 0x55f3b4fe8d01194cull);
  EXPECT_EQ(bulk_hash(numbered(64)), 0xa8b3b92e6dcb11b0ull);
  EXPECT_EQ(bulk_hash(numbered(1000)), 0xa595de6c59eb63f6ull);
}

TEST(BulkHash, NoticesEveryBitAndTheLength) {
  for (const std::size_t size : {1u, 7u, 8u, 63u, 64u, 65u, 200u}) {
    std::vector<std::byte> bytes = numbered(size);
    const std::uint64_t before = bulk_hash(bytes);
    for (std::size_t bit = 0; bit < size * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_NE(bulk_hash(bytes), before) << "bit " << bit << " of " << size << " bytes";
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    bytes.push_back(std::byte{0});
    EXPECT_NE(bulk_hash(bytes), before) << "a zero more than " << size << " bytes";
  }
}

/// Multiplying alone would lose these: a top bit stays where it is, and meets its like.
TEST(BulkHash, NoticesTopBitsThatAreABlockApart) {
  std::vector<std::byte> bytes = numbered(256);
  const std::uint64_t before = bulk_hash(bytes);
  bytes[7] ^= std::byte{0x80};
  bytes[64 + 7] ^= std::byte{0x80};
  EXPECT_NE(bulk_hash(bytes), before);
}

}  // namespace
}  // namespace trireme
