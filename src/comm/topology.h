// Where each rank stands: pure rank arithmetic. A rank is a point (dp, pp, tp), tp fastest.
#pragma once

#include <vector>

namespace trireme {

struct ParallelSizes {
  int dp = 1;
  int tp = 1;
  int pp = 1;
  int world() const { return dp * tp * pp; }
  int replica() const { return tp * pp; }
};

struct RankPoint {
  int dp = 0;
  int pp = 0;
  int tp = 0;
};

inline RankPoint point_of(int rank, const ParallelSizes& sizes) {
  return {rank / (sizes.tp * sizes.pp), rank / sizes.tp % sizes.pp, rank % sizes.tp};
}

inline int rank_of(const RankPoint& point, const ParallelSizes& sizes) {
  return (point.dp * sizes.pp + point.pp) * sizes.tp + point.tp;
}

/// The world ranks of the tensor-parallel group that `point` is in, in tp order.
inline std::vector<int> tensor_group(const RankPoint& point, const ParallelSizes& sizes) {
  std::vector<int> ranks;
  for (int tp = 0; tp < sizes.tp; ++tp) ranks.push_back(rank_of({point.dp, point.pp, tp}, sizes));
  return ranks;
}

/// The world ranks of the replica `dp`, in order of (pp, tp).
inline std::vector<int> replica_group(int dp, const ParallelSizes& sizes) {
  std::vector<int> ranks;
  for (int i = 0; i < sizes.replica(); ++i) ranks.push_back(dp * sizes.replica() + i);
  return ranks;
}

}  // namespace trireme
