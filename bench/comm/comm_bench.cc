// Latencies of barriers, messages and sums: `comm_bench [RANKS]` over shared memory, or
// `mpirun -n RANKS comm_bench`. Prints the least and the median of many rounds, since a busy
// machine disturbs single ones, and a hash of the sums, which must not depend on the ranks or the
// transport.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "comm/environment.h"
#include "comm/registry.h"
#include "comm/tree_sum.h"
#include "core/shard.h"
#include "launch/supervise.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

/// Microseconds of one call of `work`: the least and the median over rounds of `repeats`.
void report(Communicator& world, const std::string& what, int repeats,
            const std::function<void()>& work) {
  std::vector<double> rounds;
  for (int round = 0; round < 31; ++round) {
    world.barrier();
    const auto start = Clock::now();
    for (int i = 0; i < repeats; ++i) work();
    const std::chrono::duration<double, std::micro> time = Clock::now() - start;
    rounds.push_back(time.count() / repeats);
  }
  std::sort(rounds.begin(), rounds.end());
  if (world.rank() != 0) return;
  std::printf("  %-28s %10.2f %10.2f\n", what.c_str(), rounds.front(), rounds[rounds.size() / 2]);
}

/// A sum over eight virtual shards, as a row-parallel layer of hidden size `count` has it.
std::uint64_t reduce(Communicator& world, std::int64_t count, int repeats) {
  constexpr std::int64_t shards = 8;
  TreeSum sum{shards, {}};
  for (int r = 0; r < world.size(); ++r) sum.held.push_back(even_part(shards, world.size(), r));
  const Range held = sum.held[static_cast<std::size_t>(world.rank())];
  std::vector<std::vector<float>> pieces;
  for (const Range& node : largest_subtrees(shards, held)) {
    // Whole numbers below 2^24: their sums are exact, so that pieces can be made on any rank.
    std::vector<float>& piece = pieces.emplace_back(static_cast<std::size_t>(count));
    for (std::int64_t shard = node.begin; shard < node.end; ++shard) {
      for (std::int64_t i = 0; i < count; ++i) {
        piece[static_cast<std::size_t>(i)] += static_cast<float>((i * 31 + shard * 7) % 1000);
      }
    }
  }
  std::vector<const float*> partials;
  for (const auto& piece : pieces) partials.push_back(piece.data());
  std::vector<float> out(static_cast<std::size_t>(count));
  report(world, "sum of " + std::to_string(count * 4 / 1024) + " kB", repeats,
         [&] { world.tree_all_reduce(sum, partials, count, out.data()); });
  std::uint64_t hash = 0;
  for (const float value : out) hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001b3;
  return hash;
}

void run(Communicator& world) {
  if (world.rank() == 0) {
    std::printf("%s, %d ranks%21s %10s\n", std::string(world.transport()).c_str(), world.size(),
                "least us", "median us");
  }
  report(world, "barrier", 1000, [&] { world.barrier(); });
  if (world.size() > 1) {
    for (const std::size_t bytes : {64, 8 << 10, 1 << 20}) {
      Message message(bytes);
      report(world, "there and back, " + std::to_string(bytes) + " B", 200, [&] {
        if (world.rank() == 0) world.send(1, message);
        if (world.rank() < 2) world.receive_into(1 - world.rank(), message);
        if (world.rank() == 1) world.send(0, message);
      });
    }
  }
  std::uint64_t hash = 0;
  for (const std::int64_t count : {256, 2048, 16384, 262144, 4194304}) {
    hash ^= reduce(world, count, count > 100000 ? 4 : 200);
  }
  if (world.rank() == 0) std::printf("  hash %016llx\n", static_cast<unsigned long long>(hash));
}

int start(int count, char** words) {
  if (rank_environment().transport == RankTransport::single && count > 1) {
    LaunchSpec spec;
    spec.group_size = std::atoi(words[1]);
    return supervise(spec);
  }
  run(*connect());
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int count, char** words) {
  try {
    return trireme::start(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "comm_bench: %s\n", error.what());
    return 1;
  }
}
