#include "text/jinja/attributes.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/objects.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

bool is_internal(const std::string& name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

Value unsafe(const Value& value, const std::string& name) {
  return Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, value.type_name()));
}

/// What Python's getattr finds; nothing when it raises AttributeError.
std::optional<Value> plain_attribute(const Value& value, const std::string& name) {
  if (is_internal(name)) return unsafe(value, name);
  if (value.is_object()) return value.object().attribute(name);
  const Method* method = find_method(value, name);
  if (method == nullptr) return std::nullopt;
  if (method->modifies) return unsafe(value, name);
  return function(
      fmt::format("<built-in method {} of {} object>", name, value.type_name()),
      [value, method](Runtime& runtime, Arguments& arguments) {
        return method->run(runtime, value, arguments);
      },
      value.depth() + 1);
}

Value missing(const Value& value, const Value& key) {
  if (key.is_string()) {
    return Value::undefined(
        fmt::format("'{} object' has no attribute '{}'", value.type_name(), key.text()));
  }
  const auto whole = key.as_integer();
  return Value::undefined(
      fmt::format("{} object has no element {}", value.type_name(),
                  whole ? std::to_string(*whole) : fmt::format("of type {}", key.type_name())));
}

std::optional<std::size_t> position(std::int64_t index, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return static_cast<std::size_t>(index);
}

Value character(Runtime& runtime, const std::string& text, std::size_t index) {
  if (is_ascii(text)) return Value(text.substr(index, 1));
  runtime.charge(text.size() / 16);
  std::size_t begin = 0;
  for (; index > 0; --index) next_code_point(text, begin);
  std::size_t end = begin;
  next_code_point(text, end);
  return Value(text.substr(begin, end - begin));
}

std::optional<Value> indexed(Runtime& runtime, const Value& value, std::int64_t index) {
  if (!value.is_string() && !value.is_list() && !value.is_tuple()) {
    auto* range = value.is_object() ? dynamic_cast<Range*>(&value.object()) : nullptr;
    if (range == nullptr) return std::nullopt;
    const auto place = position(index, *range->length());
    return place ? std::optional<Value>(range->at(*place)) : std::nullopt;
  }
  const auto place = position(index, length(value));
  if (!place) return std::nullopt;
  return value.is_string() ? character(runtime, value.text(), *place) : value.items()[*place];
}

/// Slicing steps clamp their bounds into [low, high], after counting from the end if negative.
std::int64_t clamp_bound(const Value& bound, std::int64_t otherwise, std::int64_t size,
                         std::int64_t low, std::int64_t high) {
  if (bound.is_none()) return otherwise;
  std::int64_t index = want_integer(bound, "a slice bound");
  if (index < 0) index = index < -size ? low : index + size;
  return std::clamp(index, low, high);
}

Value sliced_text(Runtime& runtime, const std::string& text, const std::array<Value, 3>& bounds) {
  const std::u32string characters = decode(text);
  runtime.charge(characters.size() / 8);
  std::u32string out;
  for (const std::size_t i : make_slice(bounds, characters.size()).indices()) {
    out.push_back(characters[i]);
  }
  return runtime.text(encode(out));
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  if (auto found = plain_attribute(value, name)) return *std::move(found);
  runtime.charge();
  if (value.is_dict()) {
    if (const Value* item = value.dict().find(name)) return *item;
  }
  return missing(value, Value(name));
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  runtime.charge(1 + key.weight() / 8);
  if (value.is_dict()) {
    const bool hashable = !key.is_list() && !key.is_dict();
    const Value* item = hashable ? value.dict().find(key) : nullptr;
    if (item != nullptr) return *item;
  } else if (const auto index = key.as_integer()) {
    if (auto item = indexed(runtime, value, *index)) return *std::move(item);
  }
  if (key.is_string()) {
    if (auto found = plain_attribute(value, key.text())) return *std::move(found);
  }
  return missing(value, key);
}

Slice make_slice(const std::array<Value, 3>& bounds, std::size_t size) {
  const std::int64_t step = bounds[2].is_none() ? 1 : want_integer(bounds[2], "a slice step");
  if (step == 0) fault("slice step cannot be zero");
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? count : count - 1;
  return {clamp_bound(bounds[0], step > 0 ? low : high, count, low, high),
          clamp_bound(bounds[1], step > 0 ? high : low, count, low, high), step};
}

std::vector<std::size_t> Slice::indices() const {
  std::vector<std::size_t> indices;
  std::int64_t i = start;
  while (step > 0 ? i < stop : i > stop) {
    indices.push_back(static_cast<std::size_t>(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return indices;
}

Value get_slice(Runtime& runtime, const Value& value, const std::array<Value, 3>& bounds) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  if (value.is_string()) return sliced_text(runtime, value.text(), bounds);
  if (auto* range = value.is_object() ? dynamic_cast<Range*>(&value.object()) : nullptr) {
    const Slice slice = make_slice(bounds, *range->length());
    return Value(std::make_shared<Range>(range->sliced(slice.start, slice.stop, slice.step)));
  }
  if (!value.is_list() && !value.is_tuple()) {
    fault("'{}' object is not subscriptable by a slice", value.type_name());
  }
  std::vector<Value> items;
  for (const std::size_t i : make_slice(bounds, value.items().size()).indices()) {
    runtime.charge();
    items.push_back(value.items()[i]);
  }
  return value.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

}  // namespace trireme::jinja
