// The tests behind `is`.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

using Test = bool (*)(Runtime&, const Value& value, const Arguments&);

/// Null if there is no such test.
Test find_test(std::string_view name);

}  // namespace trireme::jinja
