// A job's numbers in Prometheus's text format.
//
// https://prometheus.io/docs/instrumenting/exposition_formats (version 0.0.4)
#pragma once

#include <cstdint>
#include <string>

#include "batch/job_watch.h"

namespace trireme {

std::string metrics_text(const JobWatch& watch, std::int64_t now);

}  // namespace trireme
