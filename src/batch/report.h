// A job as one page of HTML that needs nothing else: no scripts, no fonts, no network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "batch/run_summary.h"
#include "batch/trace_file.h"

namespace trireme {

/// `traces`: of the ranks, by replica and rank. `start_ns`: monotonic_ns() when the job began.
std::string report_page(const RunSummary& summary, const std::vector<RankTrace>& traces,
                        std::int64_t start_ns);

}  // namespace trireme
