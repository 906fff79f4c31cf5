// Values as text: Python's str() and repr(), and json.dumps().
#pragma once

#include <optional>
#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace trireme::jinja {

/// str(): strings as they are, nothing for undefined, everything else by repr().
std::string to_text(Runtime& runtime, const Value& value);
std::string repr(Runtime& runtime, const Value& value);
/// repr() of a float: the shortest digits that read back as the same number.
std::string format_real(double value);

struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< of one level; all on one line without
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// json.dumps(). Throws Fault for what JSON has no form for.
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace trireme::jinja
