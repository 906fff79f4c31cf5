// Python's two ways to fill a format string: "%s" % x and "{}".format(x).
#pragma once

#include <string>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

/// "..." % values: a tuple fills in order, a dict by %(name)s, anything else is a single value.
/// Conversions s, r, a, d, i, u, f, F, e, E, g, G, x, X, o, c and %, with flags, width and
/// precision.
std::string format_printf(Runtime& runtime, const std::string& format, const Value& values);

/// "...".format(...): {}, {0}, {name}, attributes and items of them, !r and !s, and the format
/// specifications [[fill]align][sign][0][width][,][.precision][s|d|f|e|g|x|%] .
std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments);

}  // namespace trireme::jinja
