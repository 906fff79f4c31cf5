#include "core/shard.h"

#include <bit>

#include "core/error.h"

namespace trireme {

namespace {

/// The widest multiple of `granule` that is at most `limit`, but at least one granule.
std::int64_t multiple_below(std::int64_t granule, std::int64_t limit) {
  return std::max(granule, limit / granule * granule);
}

void collect(Range node, Range held, std::vector<Range>& out) {
  if (intersect(node, held).empty()) return;
  if (held.begin <= node.begin && node.end <= held.end) {
    out.push_back(node);
    return;
  }
  const auto left =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(node.size() - 1)));
  collect({node.begin, node.begin + left}, held, out);
  collect({node.begin + left, node.end}, held, out);
}

}  // namespace

VirtualShards::VirtualShards(std::int64_t size, std::int64_t granule, std::int64_t most)
    : VirtualShards(size, granule) {
  if (most > 0 && count() > most) width_ = round_up(ceil_div(size, most), granule);
}

VirtualShards::VirtualShards(std::int64_t size, std::int64_t granule) : size_(size) {
  TRIREME_ASSERT(size > 0 && granule > 0);
  constexpr std::int64_t wanted = 8;
  for (const std::int64_t width : {512, 256}) {
    width_ = multiple_below(granule, width);
    if (ceil_div(size, width_) >= wanted) return;
  }
  width_ = multiple_below(granule, size / wanted);
}

Range VirtualShards::elements(std::int64_t index) const {
  return {index * width_, std::min(size_, (index + 1) * width_)};
}

Range VirtualShards::elements(Range shards) const {
  return {std::min(size_, shards.begin * width_), std::min(size_, shards.end * width_)};
}

std::vector<Range> largest_subtrees(std::int64_t count, Range held) {
  std::vector<Range> subtrees;
  if (count > 0) collect({0, count}, held, subtrees);
  return subtrees;
}

}  // namespace trireme
