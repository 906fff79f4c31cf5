// Backslash escapes of string literals, read and written.
#pragma once

#include <string>
#include <string_view>

namespace trireme::jinja {

/// What stands between a literal's quotes, with Python's escapes resolved. Throws Fault for a
/// broken escape, and for surrogates and \N{names}, which are not supported.
std::string unescape(std::string_view literal);

/// repr() of a str: quoted, with escapes for what cannot be printed.
std::string python_quoted(std::string_view text);

/// A JSON string, quotes included.
std::string json_quoted(std::string_view text, bool ascii_only);

}  // namespace trireme::jinja
