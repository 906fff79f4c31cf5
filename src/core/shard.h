// How tensor parallelism cuts a model: which dimension of a parameter is cut, at which boundaries,
// and which part a rank holds. All of it is a pure function of the model and the group's size.
#pragma once

#include <cstdint>
#include <vector>

#include "core/range.h"

namespace trireme {

/// What a parameter's cut dimension counts.
enum class ShardAxis : std::uint8_t {
  none,      ///< every rank holds all of it
  heads,     ///< query heads, in elements (head index * head_dim)
  kv_heads,  ///< key/value heads; a rank holds each one that its query heads read
  mlp,       ///< the intermediate dimension
  vocab,     ///< rows of the embedding and of the output head
};

/// Which dimension of a parameter is cut. `dim` counts the dimensions of the logical
/// [out_features, in_features] matrix (or of a vector), not of the file's order.
struct ShardSpec {
  ShardAxis axis = ShardAxis::none;
  int dim = 0;
};

/// Fixed boundaries at which a dimension may be cut: `virtual shards` that belong to the model, not
/// to the plan. Sums over the dimension are taken per shard, then over the shards in a fixed
/// binary tree, so that any number of ranks gives the same bits.
class VirtualShards {
 public:
  VirtualShards() = default;
  /// Cuts [0, size) into ranges 256 to 512 wide where that leaves at least eight, else narrower,
  /// down to `granule` (elements that must stay together, e.g. head_dim). The last may be short.
  /// With `most` > 0 at most so many, however wide.
  VirtualShards(std::int64_t size, std::int64_t granule, std::int64_t most);
  VirtualShards(std::int64_t size, std::int64_t granule);

  std::int64_t count() const { return width_ == 0 ? 0 : ceil_div(size_, width_); }
  std::int64_t width() const { return width_; }
  std::int64_t size() const { return size_; }
  /// Elements of virtual shard `index`.
  Range elements(std::int64_t index) const;
  /// Elements of the virtual shards [shards.begin, shards.end).
  Range elements(Range shards) const;

 private:
  std::int64_t size_ = 0;
  std::int64_t width_ = 0;
};

/// The order in which the partial sums of `count` shards meet: a binary tree whose left half is the
/// largest power of two below `count`. Returns the largest subtrees that lie wholly within
/// `held`, left to right; their sums are what a rank contributes.
std::vector<Range> largest_subtrees(std::int64_t count, Range held);

}  // namespace trireme
