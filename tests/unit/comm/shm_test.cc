// The shared memory transport with threads as ranks, so that a debugger and the thread sanitizer
// see all of it; tests/dist runs the same suite with processes.
#include "comm/shm.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "comm_suite.h"
#include "core/error.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

/// Runs `body(rank's communicator)` in a thread per rank; returns what each threw, or "".
std::vector<std::string> run(int ranks, const std::function<void(Communicator&)>& body) {
  const auto segment = std::make_shared<ShmSegment>(ShmSegment::create(ranks));
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ShmCommunicator world(segment, rank);
        body(world);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(Shm, PassesTheCollectiveSuite) {
  std::vector<std::uint64_t> hashes(4);
  for (const int ranks : {1, 2, 3}) {
    const auto errors = run(ranks, [&](Communicator& world) {
      const std::uint64_t hash = run_comm_suite(world);
      if (world.rank() == 0) hashes[static_cast<std::size_t>(ranks)] = hash;
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    EXPECT_EQ(hashes[static_cast<std::size_t>(ranks)], hashes[1]);
  }
}

TEST(Shm, AbortWakesEveryWaiter) {
  const auto start = Clock::now();
  const auto errors = run(4, [](Communicator& world) {
    switch (world.rank()) {
      case 0:
        world.barrier();
        break;
      case 1:
        world.receive(0);
        break;
      case 2:
        world.send(3, Message(64 << 20));
        break;
      default:
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        world.abort("rank 3 met its end");
    }
  });
  EXPECT_EQ(errors, (std::vector<std::string>{"rank 3 met its end", "rank 3 met its end",
                                              "rank 3 met its end", ""}));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

TEST(Shm, WaitingForARankThatHasLeftFails) {
  for (const bool polling : {false, true}) {
    const auto errors = run(2, [&](Communicator& world) {
      if (world.rank() == 1) return world.send(0, Message(5));
      EXPECT_EQ(world.receive(1).size(), 5u);  // what was sent before still counts
      if (!polling) world.barrier();
      while (!world.try_receive(1)) {
      }
    });
    EXPECT_EQ(errors[0], "rank 1 has left while rank 0 still waits for it");
    EXPECT_EQ(errors[1], "");
  }
}

TEST(Shm, ARankThatStopsOnAnErrorEndsTheOthers) {
  const auto errors = run(2, [](Communicator& world) {
    if (world.rank() == 1) throw std::runtime_error("my own fault");
    world.receive(1);
  });
  EXPECT_EQ(errors, (std::vector<std::string>{"rank 1 stopped on an error", "my own fault"}));
}

TEST(Shm, ErrorsArePeerLost) {
  const auto errors = run(2, [](Communicator& world) {
    if (world.rank() == 1) return world.abort("over");
    try {
      world.receive(1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peer_lost);
      throw;
    }
  });
  EXPECT_EQ(errors[0], "over");
}

TEST(Shm, HeartbeatsTickWhileWaiting) {
  const auto segment = std::make_shared<ShmSegment>(ShmSegment::create(2));
  EXPECT_EQ(segment->rank(0).heartbeat.load(), 0u);
  std::thread waiter([&] {
    ShmCommunicator world(segment, 0);
    world.receive(1);
  });
  while (segment->rank(0).heartbeat.load() == 0) std::this_thread::yield();
  const std::uint64_t before = segment->rank(0).heartbeat.load();
  const auto limit = Clock::now() + std::chrono::seconds(10);
  while (segment->rank(0).heartbeat.load() < before + 3 && Clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(segment->rank(0).heartbeat.load(), before + 3);
  ShmCommunicator(segment, 1).send(0, Message(1));
  waiter.join();
}

TEST(Shm, GroupsMayComeAndGoForEver) {
  const auto errors = run(2, [](Communicator& world) {
    for (int i = 0; i < 500; ++i) world.group({1, 0})->barrier();
  });
  EXPECT_EQ(errors, (std::vector<std::string>{"", ""}));
}

TEST(ShmSegment, IsMappedAgainThroughItsDescriptor) {
  const ShmSegment created = ShmSegment::create(3);
  const ShmSegment attached = ShmSegment::attach(dup(created.fd()));
  EXPECT_EQ(attached.ranks(), 3);
  created.abort("seen from both sides");
  EXPECT_EQ(attached.abort_reason(), "seen from both sides");
  created.abort("too late");
  EXPECT_EQ(attached.abort_reason(), "seen from both sides");
}

TEST(ShmSegment, RefusesOtherFiles) {
  EXPECT_THROW(ShmSegment::attach(987), Error);
  EXPECT_THROW(ShmSegment::attach(open("/dev/null", O_RDWR)), Error);
  const ShmSegment segment = ShmSegment::create(2);
  ASSERT_EQ(ftruncate(segment.fd(), 4096), 0);  // a segment, but cut short
  EXPECT_THROW(ShmSegment::attach(dup(segment.fd())), Error);
}

TEST(ShmSegment, RefusesTooManyRanks) {
  EXPECT_THROW(ShmSegment::create(0), Error);
  EXPECT_THROW(ShmSegment::create(1000), Error);
}

}  // namespace
}  // namespace trireme
