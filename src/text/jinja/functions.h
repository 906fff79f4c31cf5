// The global functions that templates call: range, dict, namespace, raise_exception, strftime_now.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

std::vector<std::pair<std::string, Value>> global_functions();

/// datetime.strftime for `seconds` since the epoch in UTC, in the C locale; unknown directives stay
/// as they are. Throws Fault for a time beyond the calendar.
std::string format_time(std::int64_t seconds, const std::string& format);

}  // namespace trireme::jinja
