// Evaluates the fixed tree of core/shard.h over the pieces that the ranks of a group contribute;
// every transport shares it, so every transport gives the same bits.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "core/device_stream.h"

namespace trireme {

/// How the pieces of a TreeSum meet. The pieces are numbered over all ranks in rank order: first
/// the largest subtrees that rank 0 holds, then those of rank 1, ...
class TreeSumPlan {
 public:
  explicit TreeSumPlan(const TreeSum& sum);

  bool describes(const TreeSum& sum) const;
  int ranks() const { return static_cast<int>(held_.size()); }
  /// The numbers of the pieces that `rank` contributes; may be empty.
  Range pieces(int rank) const { return {first_piece_[rank], first_piece_[rank + 1]}; }
  std::int64_t piece_count() const { return first_piece_.back(); }
  /// The most pieces that one rank contributes.
  std::int64_t most_pieces() const;

  /// What evaluate() does for each element, for who does it elsewhere; none for a single piece.
  std::span<const TreeStep> steps() const { return steps_; }
  /// Leaves the sum of `pieces` (each [count], in the order of their numbers) in `out` [count],
  /// which may be one of them. Sums over no shards at all are zero.
  void evaluate(std::span<const float* const> pieces, std::int64_t count, float* out) const;

 private:
  std::int64_t build(Range node, const std::vector<Range>& pieces, std::int64_t& next,
                     std::int64_t slot);
  void evaluate_in_rank_order(std::span<const float* const> pieces, std::int64_t count,
                              float* out) const;

  std::int64_t shard_count_;
  std::vector<Range> held_;
  std::vector<std::int64_t> first_piece_;
  std::vector<TreeStep> steps_;  // the last one writes the result
  std::int64_t slots_ = 0;
  bool in_rank_order_;
};

/// The plans that a communicator has met: a model has only a handful.
class TreeSumPlans {
 public:
  const TreeSumPlan& get(const TreeSum& sum);

 private:
  std::deque<TreeSumPlan> plans_;
};

/// True when TRIREME_TEST_PLAN_DEPENDENT_REDUCTION=1: sums are then taken rank by rank with each
/// rank's total rounded to bfloat16, as systems do whose output depends on the number of ranks.
/// Tests of invariance must turn red under it. Warns on stderr once.
bool plan_dependent_reduction();

}  // namespace trireme
