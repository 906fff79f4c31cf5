#include "comm_suite.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>

#include "core/shard.h"

namespace trireme {

namespace {

void check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("collective suite: " + what);
}

Message message_of(std::uint64_t seed, std::size_t size) {
  std::mt19937_64 random(seed);
  Message message(size);
  for (std::size_t i = 0; i < size; i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(message.data() + i, &word, std::min(sizeof(word), size - i));
  }
  return message;
}

/// Element `i` of the partial sum of one shard; magnitudes differ widely, so that order shows.
float element(std::int64_t shard, std::int64_t i, std::uint64_t seed) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15 +
                    static_cast<std::uint64_t>(shard) * 0xbf58476d1ce4e5b9 +
                    static_cast<std::uint64_t>(i) * 0x94d049bb133111eb;
  x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9;
  x ^= x >> 29;
  const auto mantissa = static_cast<float>(static_cast<std::int32_t>(x & 0xffffff) - 0x800000);
  return std::ldexp(mantissa, static_cast<int>(x >> 24 & 31) - 40);
}

float subtree(Range node, std::int64_t i, std::uint64_t seed) {
  if (node.size() == 1) return element(node.begin, i, seed);
  const auto left =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(node.size() - 1)));
  const float sum = subtree({node.begin, node.begin + left}, i, seed);
  return sum + subtree({node.begin + left, node.end}, i, seed);
}

/// Uneven ranges, some of them empty: rank r gets about r + 1 parts, every third rank none.
std::vector<Range> uneven(std::int64_t shards, int ranks, bool with_empty) {
  std::vector<std::int64_t> weights;
  std::int64_t total = 0;
  for (int r = 0; r < ranks; ++r) {
    weights.push_back(with_empty && r % 3 == 1 ? 0 : r + 1);
    total += weights.back();
  }
  std::vector<Range> held;
  std::int64_t seen = 0, begin = 0;
  for (const std::int64_t weight : weights) {
    seen += weight;
    const std::int64_t end = shards * seen / total;
    held.push_back({begin, end});
    begin = end;
  }
  return held;
}

void reduce(Communicator& group, const TreeSum& sum, std::int64_t count, bool in_place,
            std::uint64_t seed, std::uint64_t& hash) {
  std::vector<std::vector<float>> own;
  for (const Range& node :
       largest_subtrees(sum.shard_count, sum.held[static_cast<std::size_t>(group.rank())])) {
    std::vector<float>& piece = own.emplace_back();
    for (std::int64_t i = 0; i < count; ++i) piece.push_back(subtree(node, i, seed));
  }
  std::vector<const float*> partials;
  for (const auto& piece : own) partials.push_back(piece.data());
  std::vector<float> separate(static_cast<std::size_t>(count), -1.0f);
  float* const out = in_place && !own.empty() ? own.back().data() : separate.data();
  group.tree_all_reduce(sum, partials, count, out);
  for (std::int64_t i = 0; i < count; ++i) {
    const float expected = sum.shard_count == 0 ? 0.0f : subtree({0, sum.shard_count}, i, seed);
    check(std::bit_cast<std::uint32_t>(out[i]) == std::bit_cast<std::uint32_t>(expected),
          "sum of " + std::to_string(sum.shard_count) + " shards, count " + std::to_string(count) +
              ", element " + std::to_string(i) + ": " + std::to_string(out[i]) + " instead of " +
              std::to_string(expected));
    hash = (hash ^ std::bit_cast<std::uint32_t>(out[i])) * 0x100000001b3;
  }
}

std::uint64_t sums(Communicator& group, const std::vector<std::int64_t>& counts) {
  std::uint64_t hash = 0xcbf29ce484222325;
  std::uint64_t seed = 0;
  for (const std::int64_t shards : {0, 1, 2, 3, 8, 13}) {
    std::vector<Range> even;
    for (int r = 0; r < group.size(); ++r) even.push_back(even_part(shards, group.size(), r));
    for (const std::int64_t count : counts) {
      ++seed;
      reduce(group, {shards, even}, count, false, seed, hash);
      reduce(group, {shards, uneven(shards, group.size(), false)}, count, true, seed, hash);
      reduce(group, {shards, uneven(shards, group.size(), group.size() > 1)}, count, false, seed,
             hash);
    }
  }
  // Several areas full: sums that are taken in chunks.
  for (const std::int64_t count : counts.back() > 2000 ? std::vector<std::int64_t>{32768, 70001}
                                                       : std::vector<std::int64_t>{}) {
    reduce(group, {8, uneven(8, group.size(), false)}, count, true, ++seed, hash);
  }
  return hash;
}

/// Everybody sends to everybody before anybody receives, with more bytes than any ring holds.
void everybody_at_once(Communicator& group) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4097}, std::size_t{3} << 20}) {
    const auto seed = [&](int from, int to) {
      return size + static_cast<std::size_t>(from * 1000 + to);
    };
    for (int to = 0; to < group.size(); ++to)
      group.send(to, message_of(seed(group.rank(), to), size));
    for (int from = 0; from < group.size(); ++from) {
      check(group.receive(from) == message_of(seed(from, group.rank()), size),
            "message of " + std::to_string(size) + " bytes from " + std::to_string(from));
    }
  }
}

/// Random sizes in a random order of peers, received by all three functions.
void random_traffic(Communicator& group) {
  std::mt19937_64 order(42);  // the same on every rank: all know who sends what to whom
  std::vector<std::deque<std::pair<std::uint64_t, std::size_t>>> expected(
      static_cast<std::size_t>(group.size()));
  std::mt19937_64 own(static_cast<std::uint64_t>(group.rank()) + 7);
  const auto take = [&](int from) {
    auto& queue = expected[static_cast<std::size_t>(from)];
    const auto [seed, size] = queue.front();
    queue.pop_front();
    Message got(size);
    switch (own() % 3) {
      case 0:
        got = group.receive(from);
        break;
      case 1:
        group.receive_into(from, got);
        break;
      default:
        for (;;) {
          if (auto message = group.try_receive(from)) {
            got = std::move(*message);
            break;
          }
        }
    }
    check(got == message_of(seed, size), "random traffic from " + std::to_string(from));
  };
  for (int step = 0; step < 600; ++step) {
    const auto ranks = static_cast<std::uint64_t>(group.size());
    const int from = static_cast<int>(order() % ranks);
    const int to = static_cast<int>(order() % ranks);
    const std::uint64_t seed = order();
    const std::size_t size = order() % 3 == 0 ? order() % 400000 : order() % 200;
    if (from == group.rank()) group.send(to, message_of(seed, size));
    if (to == group.rank()) expected[static_cast<std::size_t>(from)].emplace_back(seed, size);
    const int ready = static_cast<int>(own() % ranks);
    if (own() % 2 == 0 && !expected[static_cast<std::size_t>(ready)].empty()) take(ready);
  }
  for (int from = 0; from < group.size(); ++from) {
    while (!expected[static_cast<std::size_t>(from)].empty()) take(from);
  }
}

void gather_and_broadcast(Communicator& group) {
  for (int root = 0; root < group.size(); ++root) {
    const auto size = [&](int rank) { return static_cast<std::size_t>(rank * 70000); };
    const auto all = group.gather(
        root, message_of(static_cast<std::uint64_t>(group.rank()), size(group.rank())));
    check(all.size() == (group.rank() == root ? static_cast<std::size_t>(group.size()) : 0),
          "gather");
    for (std::size_t r = 0; r < all.size(); ++r) {
      check(all[r] == message_of(r, size(static_cast<int>(r))), "gathered bytes");
    }
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{5}, std::size_t{2} << 20}) {
      Message message = group.rank() == root ? message_of(bytes + 99, bytes) : Message(3);
      group.broadcast(root, message);
      check(message == message_of(bytes + 99, bytes), "broadcast");
    }
  }
}

/// Groups of some ranks, in another order, again and again; messages of one must not show in
/// another.
void groups(Communicator& world, std::uint64_t& hash) {
  for (int round = 0; round < 3; ++round) {
    std::vector<int> mine;
    for (int r = world.size() - 1; r >= 0; --r) {
      if (r % 2 == world.rank() % 2) mine.push_back(r);
    }
    const auto half = world.group(mine);
    const auto again = world.group(mine);
    check(half->size() == static_cast<int>(mine.size()), "size of a group");
    check(mine[static_cast<std::size_t>(half->rank())] == world.rank(), "rank in a group");
    const int next = (half->rank() + 1) % half->size();
    const int previous = (half->rank() + half->size() - 1) % half->size();
    half->send(next, message_of(1, 10));
    again->send(next, message_of(2, 20));
    world.send(mine[static_cast<std::size_t>(next)], message_of(3, 30));
    check(world.receive(mine[static_cast<std::size_t>(previous)]) == message_of(3, 30),
          "world's message");
    check(again->receive(previous) == message_of(2, 20), "second group's message");
    check(half->receive(previous) == message_of(1, 10), "first group's message");
    half->barrier();
    hash ^= sums(*half, {1, 100});
    const auto nested = half->group({half->rank()});
    check(nested->size() == 1, "nested group");
    nested->barrier();
  }
}

}  // namespace

std::uint64_t run_comm_suite(Communicator& world) {
  for (int i = 0; i < 1000; ++i) world.barrier();
  std::uint64_t hash = sums(world, {0, 1, 15, 17, 64, 2048, 2049, 5000});
  everybody_at_once(world);
  random_traffic(world);
  gather_and_broadcast(world);
  groups(world, hash);
  world.barrier();
  return hash;
}

}  // namespace trireme
