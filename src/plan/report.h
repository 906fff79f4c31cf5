// The plan of a run as data: every rank's share, and whether the hosts can hold it. Pure: sees the
// model as its spec and the hosts as a number of bytes.
#pragma once

#include <optional>

#include "core/model_spec.h"
#include "plan/cache.h"
#include "plan/device_map.h"
#include "plan/gpu.h"
#include "trireme/plan.h"

namespace trireme {

/// A plan's sizes and limits, from which all else follows.
struct PlanRequest {
  int dp = 1;
  int tp = 1;
  int pp = 1;
  /// What each stage holds; without it, stages of about the same cost.
  std::optional<Placement> placement;
  MemoryLimits limits;
  std::int64_t kv_cache_bytes = 0;   ///< per rank; 0: what is wanted, within what is free
  int ranks_per_host = 0;            ///< 0: all
  std::int64_t available_bytes = 0;  ///< on a host, where ranks run on CPUs
  std::optional<GpuHost> gpus;       ///< where they run on GPUs

  int world() const { return dp * tp * pp; }
  int per_host() const { return ranks_per_host > 0 ? std::min(ranks_per_host, world()) : world(); }
};

/// RankShare::program_bytes, as measured (proportional set size less the rest) with models of 100
/// to 700 MB.
inline constexpr std::int64_t program_bytes = std::int64_t{10} << 20;

/// Fills in ranks, memory and fits (not the suggestions). Throws Error(usage) for impossible sizes.
PlanReport lay_out(const ModelSpec& model, const PlanRequest& request);

/// What decides the size of the cache under this plan.
CacheRequest cache_request(const ModelSpec& model, const PlanRequest& request);

/// Changes to `request` that would fit, nearest first; at most four.
std::vector<PlanSuggestion> suggest_plans(const ModelSpec& model, const PlanRequest& request);

/// Where ranks are on GPUs: how many GPUs that is, and those of one stage.
struct BusyGpus {
  int all = 0;
  int of_stage = 0;
};
BusyGpus busy_gpus(const PlanReport& report);

/// Parameters that are multiplied with at every token: what a decode step reads. In bytes.
std::int64_t bytes_read_per_token(const ModelSpec& model);

}  // namespace trireme
