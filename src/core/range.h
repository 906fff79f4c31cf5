// A half-open range of indices: the form of every shard. A shard is a range, never "size / n".
#pragma once

#include <algorithm>
#include <cstdint>

namespace trireme {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  bool contains(std::int64_t index) const { return index >= begin && index < end; }
  bool operator==(const Range&) const = default;
};

inline Range intersect(Range a, Range b) {
  const Range both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.empty() ? Range{both.begin, both.begin} : both;
}

/// The `index`-th of `parts` contiguous ranges that cover [0, total) as evenly as possible; the
/// first (total mod parts) ranges hold one more. Ranges may be empty.
inline Range even_part(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t base = total / parts;
  const std::int64_t extra = total % parts;
  const std::int64_t begin = index * base + std::min(index, extra);
  return {begin, begin + base + (index < extra ? 1 : 0)};
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

}  // namespace trireme
