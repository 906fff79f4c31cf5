// What a line on a running job tells.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "batch/rate_window.h"

namespace trireme {

struct ProgressState {
  std::int64_t rows = 0;
  std::optional<std::int64_t> total;  ///< if known
  std::int64_t in_flight = 0;
  std::int64_t errors = 0;
  double prompt_tokens_per_s = 0;  ///< now
  double new_tokens_per_s = 0;
  std::optional<Spread> seconds_left;  ///< where there is ground for it
  std::optional<double> kv_use;        ///< share of the cache's blocks, 0 to 1
  std::vector<double> utilisation;     ///< share of its time that each rank computes, 0 to 1
  struct Straggler {
    int replica = 0;
    double share = 0;  ///< of the median replica's rate
  };
  std::vector<Straggler> stragglers;
  bool loading = false;  ///< no replica is ready yet
  double seconds = 0;    ///< since the start
};

}  // namespace trireme
