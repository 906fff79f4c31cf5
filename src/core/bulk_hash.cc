#include "core/bulk_hash.h"

#include <array>
#include <bit>
#include <cstring>

#include "core/hash.h"

namespace trireme {

namespace {

// Eight chains of their own hide the latency of a multiplication: one word per cycle.
constexpr std::size_t lanes = 8;
constexpr std::size_t block = lanes * sizeof(std::uint64_t);
using Lanes = std::array<std::uint64_t, lanes>;

/// For a given state one to one in the word, and the other way round, so that no change of one word
/// is lost. The rotation lets high bits reach low ones, which multiplying alone never does.
constexpr std::uint64_t stirred(std::uint64_t state, std::uint64_t word) {
  return std::rotl((state ^ word) * 0x9e3779b97f4a7c15ull, 29);
}

std::uint64_t word_at(const std::byte* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

/// Takes in `count` blocks. A copy of the state, each lane by its name, is what stays in registers.
Lanes taken(Lanes state, const std::byte* bytes, std::size_t count) {
  auto [a, b, c, d, e, f, g, h] = state;
  for (; count > 0; --count, bytes += block) {
    a = stirred(a, word_at(bytes));
    b = stirred(b, word_at(bytes + 8));
    c = stirred(c, word_at(bytes + 16));
    d = stirred(d, word_at(bytes + 24));
    e = stirred(e, word_at(bytes + 32));
    f = stirred(f, word_at(bytes + 40));
    g = stirred(g, word_at(bytes + 48));
    h = stirred(h, word_at(bytes + 56));
  }
  return {a, b, c, d, e, f, g, h};
}

}  // namespace

std::uint64_t bulk_hash(std::span<const std::byte> bytes) {
  static_assert(std::endian::native == std::endian::little);
  Lanes state;
  for (std::size_t i = 0; i < lanes; ++i) state[i] = mixed(i + 1);
  state = taken(state, bytes.data(), bytes.size() / block);
  if (const std::size_t tail = bytes.size() % block; tail > 0) {
    std::array<std::byte, block> padded{};
    std::memcpy(padded.data(), bytes.data() + bytes.size() - tail, tail);
    state = taken(state, padded.data(), 1);
  }
  std::uint64_t hash = bytes.size();
  for (const std::uint64_t lane : state) hash = mixed(hash ^ lane);
  return hash;
}

}  // namespace trireme
