#include "text/jinja/runtime.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

/// Over a vector that `owner` keeps alive.
Cursor walk(const Value& owner) {
  return [owner, i = std::size_t{0}]() mutable -> std::optional<Value> {
    if (i == owner.items().size()) return std::nullopt;
    return owner.items()[i++];
  };
}

Cursor walk_keys(const Value& owner) {
  return [owner, i = std::size_t{0}]() mutable -> std::optional<Value> {
    if (i == owner.dict().size()) return std::nullopt;
    return owner.dict().entries()[i++].first;
  };
}

Cursor walk_characters(const Value& owner) {
  return [owner, i = std::size_t{0}]() mutable -> std::optional<Value> {
    const std::string& text = owner.text();
    if (i == text.size()) return std::nullopt;
    const std::size_t start = i;
    next_code_point(text, i);
    return Value(text.substr(start, i - start));
  };
}

std::optional<Cursor> try_iterate(const Value& value) {
  if (value.is_list() || value.is_tuple()) return walk(value);
  if (value.is_dict()) return walk_keys(value);
  if (value.is_string()) return walk_characters(value);
  if (value.is_undefined()) return [] { return std::optional<Value>(); };
  return value.is_object() ? value.object().iterate() : std::nullopt;
}

}  // namespace

Runtime::~Runtime() {
  for (const auto& empty : cycles_) empty();
}

void Runtime::charge(std::size_t steps) {
  steps_ += std::min(steps, limits_.steps + 1);
  if (steps_ > limits_.steps) {
    fault("the template does too much: stopped after {} steps", limits_.steps);
  }
}

void Runtime::check_size(std::size_t bytes) const {
  if (bytes > limits_.output_bytes) {
    fault("the template builds a text of more than {} bytes", limits_.output_bytes);
  }
}

Value Runtime::text(std::string text) {
  check_size(text.size());
  charge(1 + text.size() / 16);
  return Value(std::move(text));
}

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
  if (runtime.level_ >= runtime.limits_.recursion) {
    fault("the template recurses more than {} levels deep", runtime.limits_.recursion);
  }
  ++runtime.level_;
}

std::optional<Value> Arguments::take(std::string_view name) {
  const auto found = std::find_if(named.begin(), named.end(),
                                  [&](const auto& argument) { return argument.first == name; });
  if (found == named.end()) return std::nullopt;
  Value value = std::move(found->second);
  named.erase(found);
  return value;
}

std::vector<Value> bind(std::string_view function, const Arguments& arguments,
                        const std::vector<Parameter>& parameters) {
  if (arguments.positional.size() > parameters.size()) {
    fault("{}() takes at most {} arguments, not {}", function, parameters.size(),
          arguments.positional.size());
  }
  Arguments rest = arguments;
  std::vector<Value> values;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    std::optional<Value> named = rest.take(parameters[i].name);
    const bool given = i < arguments.positional.size();
    if (given && named) fault("{}() got '{}' twice", function, parameters[i].name);
    if (!given && !named) named = parameters[i].otherwise;
    if (!given && !named) fault("{}() needs the argument '{}'", function, parameters[i].name);
    values.push_back(given ? arguments.positional[i] : *named);
  }
  if (!rest.named.empty()) {
    fault("{}() got an unexpected argument '{}'", function, rest.named.front().first);
  }
  return values;
}

Cursor iterate(const Value& value) {
  auto cursor = try_iterate(value);
  if (!cursor) fault("'{}' object is not iterable", value.type_name());
  return *std::move(cursor);
}

bool is_iterable(const Value& value) { return try_iterate(value).has_value(); }

std::vector<Value> to_vector(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  const Cursor next = iterate(value);
  while (auto item = next()) {
    runtime.charge();
    items.push_back(*std::move(item));
  }
  return items;
}

std::size_t length(const Value& value) {
  if (value.is_string()) return code_point_count(value.text());
  if (value.is_list() || value.is_tuple()) return value.items().size();
  if (value.is_dict()) return value.dict().size();
  if (value.is_undefined()) return 0;
  const auto size = value.is_object() ? value.object().length() : std::nullopt;
  if (!size) fault("object of type '{}' has no len()", value.type_name());
  return *size;
}

std::int64_t want_integer(const Value& value, std::string_view what) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  const auto whole = value.as_integer();
  if (!whole) fault("{} must be an integer, not '{}'", what, value.type_name());
  return *whole;
}

const std::string& want_text(const Value& value, std::string_view what) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  if (!value.is_string()) fault("{} must be a string, not '{}'", what, value.type_name());
  return value.text();
}

}  // namespace trireme::jinja
