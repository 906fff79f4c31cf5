// What the ranks of a job do, from samples of their counters: how busy each is now and was in all,
// which replica is slower than the others. Ranks that start again go on where they were.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "batch/progress_state.h"
#include "batch/rate_window.h"
#include "batch/series.h"
#include "core/rank_activity.h"

namespace trireme {

class RankStats {
 public:
  struct Rank {
    int replica = 0;
    int rank = 0;
    RankSample total;    ///< over all its starts
    double seconds = 0;  ///< that it was ready for work, in this process's clock
    int starts = 0;
    RateWindow busy;  ///< seconds of computing over seconds: the rate is the utilisation
    RateWindow tokens;
    Series utilisation;  ///< over the time of the job

    double busy_share() const;
    double waited_share() const;
  };

  /// `now`: seconds since the job began, ascending.
  void sample(int replica, int rank, const RankSample& sample, double now);
  /// What has been ready counts as such until `now`; the ranks of a replica have ended.
  void ended(int replica);
  /// Call once a second or so, after the samples: `at_work` tells whether a replica holds rows.
  void tick(double now, const std::function<bool(int replica)>& at_work);

  /// By replica, then rank.
  std::vector<const Rank*> ranks() const;
  bool any_ready() const;
  /// Share of all replicas' cache blocks in use; nothing where no replica has any.
  std::optional<double> kv_use() const;
  /// Replicas with work that have been below 60 % of the median rate for ten seconds.
  std::vector<ProgressState::Straggler> stragglers() const { return stragglers_; }

 private:
  struct State {
    Rank rank;
    RankSample before;  ///< of its earlier starts
    RankSample last;    ///< of this one
    double busy_seen = 0;
    std::optional<double> seen_at;  ///< the last sample in which it was ready
  };
  void find_stragglers(double now, const std::function<bool(int replica)>& at_work);

  std::map<std::pair<int, int>, State> states_;
  std::map<int, double> slow_since_;  ///< by replica
  std::vector<ProgressState::Straggler> stragglers_;
  double ticked_at_ = 0;
};

}  // namespace trireme
