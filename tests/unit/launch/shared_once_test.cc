#include "core/shared_once.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/error.h"

namespace trireme {
namespace {

TEST(SharedOnce, IsFilledByExactlyOneOfMany) {
  const int memory = SharedOnce::create_memory("test");
  std::atomic<int> fills{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      SharedOnce once(memory);
      const auto bytes = once.get(100000, [&](std::span<std::byte> all) {
        ++fills;
        std::memset(all.data(), 42, all.size());
      });
      EXPECT_EQ(bytes.size(), 100000u);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096, 0u);
      EXPECT_EQ(bytes.front(), std::byte{42});
      EXPECT_EQ(bytes.back(), std::byte{42});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fills, 1);
  close(memory);
}

TEST(SharedOnce, AnotherOneTriesWhenFillingFails) {
  const int memory = SharedOnce::create_memory("test");
  SharedOnce first(memory), second(memory);
  EXPECT_THROW(first.get(10, [](auto) { throw std::runtime_error("no"); }), std::runtime_error);
  second.get(10, [](std::span<std::byte> bytes) { bytes[9] = std::byte{1}; });
  EXPECT_TRUE(second.filled_here());
  EXPECT_EQ(first.get(10, [](auto) { FAIL(); })[9], std::byte{1});
  EXPECT_FALSE(first.filled_here());
  close(memory);
}

TEST(SharedOnce, RefusesAnotherSizeAndOtherMemory) {
  const int memory = SharedOnce::create_memory("test");
  SharedOnce first(memory), second(memory);
  first.get(10, [](auto) {});
  EXPECT_THROW(second.get(11, [](auto) {}), Error);
  close(memory);
  EXPECT_THROW(SharedOnce(0), Error);
  EXPECT_THROW(SharedOnce(987), Error);
}

}  // namespace
}  // namespace trireme
