// What is printed when a job of rows has ended.
#pragma once

#include <string>

#include "batch/run_summary.h"
#include "cli/terminal.h"

namespace trireme {

/// A few aligned lines on rows, tokens and times, and a table of the ranks; ends with a line end.
std::string end_table(const RunSummary& summary, const Terminal& terminal);

}  // namespace trireme
