// How a job shows itself. Nothing of it reaches the output's bytes, and nothing that goes wrong
// with it ends a job that runs.
#pragma once

#include <string>

namespace trireme {

struct ObserveOptions {
  std::string report;   ///< --report: an HTML page, written when the job ends; empty: none
  std::string trace;    ///< --trace: a file for Perfetto, likewise
  std::string metrics;  ///< --metrics: [HOST:]PORT on which Prometheus may ask; empty: none
  bool quiet = false;   ///< errors and the last line only
  std::string command;  ///< as it was given, for the report

  bool wants_trace() const { return !trace.empty() || !report.empty(); }
};

}  // namespace trireme
