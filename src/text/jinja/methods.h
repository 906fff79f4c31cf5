// The methods of strings, lists, tuples and dicts that templates may call.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

struct Method {
  std::string_view name;
  Value (*run)(Runtime&, const Value& self, const Arguments&);
  bool modifies = false;  ///< the sandbox forbids it; run is null
};

/// Null if the kind of `value` has no such method.
const Method* find_method(const Value& value, std::string_view name);

const Method* find_string_method(std::string_view name);

/// Where a string is taken apart: str.split, rsplit and splitlines.
std::vector<std::string> split_text(Runtime& runtime, const std::string& text,
                                    const Value& separator, std::int64_t most, bool from_right);
std::vector<std::string> split_lines(Runtime& runtime, const std::string& text, bool keep_ends);

/// str.replace: at most `count` of them, all if negative.
std::string replaced(Runtime& runtime, const std::string& text, const std::string& old,
                     const std::string& fresh, std::int64_t count);

}  // namespace trireme::jinja
