// Ids that come twice are found, among few and among many, in memory and on disk.
#include "batch/id_table.h"

#include <filesystem>

#include "support/scratch.h"

namespace trireme {
namespace {

TEST(IdTable, TellsTheFirstRow) {
  IdTable ids("");
  EXPECT_EQ(ids.add("a", 0), std::nullopt);
  EXPECT_EQ(ids.add("b", 2), std::nullopt);
  EXPECT_EQ(ids.add("a", 3), 0u);
  EXPECT_EQ(ids.add("a", 4), 0u);
  EXPECT_EQ(ids.add("", 5), std::nullopt);
  EXPECT_EQ(ids.size(), 3u);
}

/// Far beyond what is kept in memory.
TEST(IdTable, ManyIdsGoToAFileThatLeavesNoTrace) {
  const Scratch scratch;
  const std::filesystem::path folder = scratch.file("");
  IdTable ids(folder);
  constexpr std::uint64_t count = 1'500'000;
  static_assert(count * 16 > IdTable::memory_bytes);
  const auto id = [](std::uint64_t i) { return "row-" + std::to_string(i); };
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(ids.add(id(i), i), std::nullopt) << i;
  for (std::uint64_t i = 0; i < count; i += 997) ASSERT_EQ(ids.add(id(i), count), i);
  EXPECT_EQ(ids.size(), count);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(IdTable, SaysWhereThereIsNoRoom) {
  IdTable ids("/proc");
  const std::string message = message_of(ErrorKind::resource, [&] {
    for (std::uint64_t i = 0; i < 1'500'000; ++i) ids.add(std::to_string(i), i);
  });
  EXPECT_NE(message.find("/proc: cannot keep"), std::string::npos) << message;
}

}  // namespace
}  // namespace trireme
