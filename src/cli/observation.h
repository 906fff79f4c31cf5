// The flags by which a job shows itself.
#pragma once

#include "batch/observe_options.h"
#include "cli/arguments.h"

namespace trireme {

/// --report, --trace, --metrics and --quiet.
void add_observation(CLI::App& app, ObserveOptions& options);

}  // namespace trireme
