// value.name, value[key] and value[a:b:c], as Jinja2's sandbox resolves them.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

/// The attribute (a method, for plain data), else the item of that key, else undefined. What the
/// sandbox forbids (names with underscores, methods that modify) is undefined too, and says so
/// when used. Throws Fault for attributes of an undefined value.
Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);

/// The item, else the attribute of that name, else undefined.
Value get_item(Runtime& runtime, const Value& value, const Value& key);

/// Python's slices over strings, lists, tuples and ranges; each bound an integer or none.
Value get_slice(Runtime& runtime, const Value& value, const std::array<Value, 3>& bounds);

/// A slice's bounds against a length: from `start`, by `step`, up to but without `stop`; for a
/// negative step `stop` may be -1.
struct Slice {
  std::int64_t start;
  std::int64_t stop;
  std::int64_t step;
  std::vector<std::size_t> indices() const;
};
Slice make_slice(const std::array<Value, 3>& bounds, std::size_t size);

}  // namespace trireme::jinja
