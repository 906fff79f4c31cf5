#include "batch/run_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "trireme/machine.h"
#include "trireme/plan.h"

namespace trireme {

namespace {

const RankShare* share_of(const PlanReport& plan, const RankStats::Rank& rank) {
  const int size = plan.tensor_parallel_size * plan.pipeline_parallel_size;
  for (const RankShare& share : plan.ranks) {
    if (share.replica == rank.replica && share.rank % size == rank.rank) return &share;
  }
  return nullptr;  // a replica that has joined
}

std::string plan_text(const PlanReport& plan) {
  return fmt::format("{} replica{} x {} pipeline stage{} x {} tensor shard{}, {}",
                     plan.data_parallel_size, plan.data_parallel_size == 1 ? "" : "s",
                     plan.pipeline_parallel_size, plan.pipeline_parallel_size == 1 ? "" : "s",
                     plan.tensor_parallel_size, plan.tensor_parallel_size == 1 ? "" : "s",
                     plan.quantization == "none"
                         ? plan.dtype
                         : fmt::format("{} with {} weights", plan.dtype, plan.quantization));
}

std::string machine_text(const MachineLimits& machine) {
  return fmt::format("{}, {} core{}", machine.processor, machine.cores,
                     machine.cores == 1 ? "" : "s");
}

double predicted_seconds(const RunSummary& summary, const PlanSpeed& speed) {
  const auto prompt = static_cast<double>(summary.row_stats.prompt_tokens());
  const auto fresh = static_cast<double>(summary.row_stats.new_tokens());
  if (speed.prefill <= 0 || (fresh > 0 && speed.batch <= 0)) return 0;
  return prompt / speed.prefill + (fresh > 0 ? fresh / speed.batch : 0);
}

}  // namespace

double seconds_at_limit(const RunSummary& summary, double read_bytes_per_s,
                        double math_operations_per_s) {
  if (read_bytes_per_s <= 0 || math_operations_per_s <= 0) return 0;
  double seconds = 0;
  for (const RankSummary& r : summary.ranks) {
    const RankSample& total = r.rank.total;
    const double reading = static_cast<double>(total.weight_bytes) / read_bytes_per_s;
    for (int i = 0; i < step_classes; ++i) {
      const double products = 2 * static_cast<double>(total.multiply_adds_per_token) *
                              static_cast<double>(total.step_tokens[i]) / math_operations_per_s;
      seconds += std::max(static_cast<double>(total.step_count[i]) * reading, products);
    }
  }
  return seconds;
}

void compare_with_plan(RunSummary& summary, const Options& options, bool measure) {
  try {
    summary.model = options.model;
    summary.machine = machine_text(describe_machine());
    PlanSettings settings;
    settings.rehearse = measure;
    const PlanReport plan = make_plan(options, settings);
    summary.plan = plan_text(plan);
    for (RankSummary& rank : summary.ranks) {
      if (const RankShare* share = share_of(plan, rank.rank)) {
        rank.planned_bytes = static_cast<std::uint64_t>(share->total());
      }
    }
    if (!measure) return;
    const MachineLimits machine = measure_machine(options);
    RunLimits& limits = summary.limits.emplace();
    limits.read_bytes_per_s = machine.read_bytes_per_s;
    limits.math_operations_per_s = machine.math_operations_per_s;
    limits.math_unit = machine.math_unit;
    limits.limit_seconds =
        seconds_at_limit(summary, machine.read_bytes_per_s, machine.math_operations_per_s);
    limits.predicted_seconds = predicted_seconds(summary, plan.speed);
  } catch (const std::exception&) {
    // The job is done; what it is compared with is not worth an error.
  }
}

}  // namespace trireme
