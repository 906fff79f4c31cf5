// A plan as a person reads it and as a program does.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "trireme/plan.h"

namespace trireme {

/// Tables and bars, as wide as the terminal.
std::string plan_picture(const PlanReport& report, const Terminal& terminal);

/// One JSON object, indented.
std::string plan_json(const PlanReport& report);

/// Why the plan does not fit, and flags that would.
std::string shortage_text(const PlanReport& report);

}  // namespace trireme
