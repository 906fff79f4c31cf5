// The methods of list, tuple and dict, and those of any value by name.
#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/objects.h"
#include "text/jinja/operators.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

Value count(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("count", given, {{"value"}});
  return std::count_if(self.items().begin(), self.items().end(), [&](const Value& item) {
    runtime.charge();
    return charged_equal(runtime, item, values[0]);
  });
}

Value index(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("index", given, {{"value"}, {"start", Value()}, {"stop", Value()}});
  for (const std::size_t i :
       make_slice({values[1], values[2], Value()}, self.items().size()).indices()) {
    runtime.charge();
    if (charged_equal(runtime, self.items()[i], values[0])) return i;
  }
  fault("the value is not in the {}", self.type_name());
}

Value copy(Runtime&, const Value& self, Given given) {
  bind("copy", given, {});
  return self;
}

Value get(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("get", given, {{"key"}, {"default", Value()}});
  runtime.charge(1 + values[0].weight() / 8);
  const Value* found = self.dict().find(values[0]);
  return found == nullptr ? values[1] : *found;
}

template <View::Kind kind>
Value view(Runtime&, const Value& self, Given given) {
  bind("the method", given, {});
  return Value(std::make_shared<View>(kind, self));
}

constexpr Method tuple_methods[] = {{"count", count}, {"index", index}};

constexpr Method list_methods[] = {
    {"append", nullptr, true},  {"clear", nullptr, true},  {"copy", copy},
    {"count", count},           {"extend", nullptr, true}, {"index", index},
    {"insert", nullptr, true},  {"pop", nullptr, true},    {"remove", nullptr, true},
    {"reverse", nullptr, true}, {"sort", nullptr, true},
};

constexpr Method dict_methods[] = {
    {"clear", nullptr, true},
    {"copy", copy},
    {"get", get},
    {"items", view<View::Kind::items>},
    {"keys", view<View::Kind::keys>},
    {"pop", nullptr, true},
    {"popitem", nullptr, true},
    {"setdefault", nullptr, true},
    {"update", nullptr, true},
    {"values", view<View::Kind::values>},
};

template <std::size_t N>
const Method* find_in(const Method (&methods)[N], std::string_view name) {
  const auto* found = std::find_if(std::begin(methods), std::end(methods),
                                   [&](const Method& method) { return method.name == name; });
  return found == std::end(methods) ? nullptr : found;
}

}  // namespace

const Method* find_method(const Value& value, std::string_view name) {
  if (value.is_string()) return find_string_method(name);
  if (value.is_list()) return find_in(list_methods, name);
  if (value.is_tuple()) return find_in(tuple_methods, name);
  return value.is_dict() ? find_in(dict_methods, name) : nullptr;
}

}  // namespace trireme::jinja
