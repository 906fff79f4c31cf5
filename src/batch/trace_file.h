// A job's trace as Perfetto and chrome://tracing read it: JSON trace events, a process per replica,
// a thread per rank.
//
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/run_summary.h"
#include "core/trace.h"

namespace trireme {

/// What one rank has recorded, over all its starts.
struct RankTrace {
  int replica = 0;
  int rank = 0;
  std::string name;                  ///< "stage 0, tp 1"
  int stage = 0;                     ///< of the pipeline
  std::vector<TraceRecord> records;  ///< ascending, none overlapping
  std::uint64_t dropped = 0;
};

/// Records of all ranks that a file holds at most, the youngest: some 40 MB.
inline constexpr std::size_t most_traced_records = 100'000;

/// Hands the text to `write` piece by piece. `start_ns`: monotonic_ns() that becomes 0.
void write_trace(const std::vector<RankTrace>& ranks, const RunSummary& summary,
                 std::int64_t start_ns, const std::function<void(std::string_view)>& write);

}  // namespace trireme
