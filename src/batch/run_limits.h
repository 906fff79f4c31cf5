// A finished job beside what its plan promised and what the machine can do at most.
#pragma once

#include "batch/run_summary.h"
#include "trireme/options.h"

namespace trireme {

/// Fills in each rank's planned memory, and the plan and the machine in words. With `measure` also
/// the limits, which takes a few seconds of all cores: when the ranks are gone. Never throws; what
/// cannot be had stays empty.
void compare_with_plan(RunSummary& summary, const Options& options, bool measure);

/// Seconds in which the summary's steps could be done: each needs its weights read, or its products
/// computed, whichever takes longer.
double seconds_at_limit(const RunSummary& summary, double read_bytes_per_s,
                        double math_operations_per_s);

}  // namespace trireme
