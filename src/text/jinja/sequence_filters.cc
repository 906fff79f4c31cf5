// Filters that pick from, walk over and rearrange sequences, and those of any value.
#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/fault.h"
#include "text/jinja/filters.h"
#include "text/jinja/methods.h"
#include "text/jinja/objects.h"
#include "text/jinja/tests.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

Value otherwise(Runtime&, const Value& input, Given given) {
  const auto values =
      bind("default", given, {{"default_value", Value("")}, {"boolean", Value(false)}});
  const bool replace = input.is_undefined() || (values[1].truthy() && !input.truthy());
  return replace ? values[0] : input;
}

Value attribute(Runtime& runtime, const Value& input, Given given) {
  const std::string name = want_text(bind("attr", given, {{"name"}})[0], "an attribute's name");
  const bool exists = input.is_undefined() || find_method(input, name) != nullptr ||
                      (input.is_object() && input.object().attribute(name));
  if (exists) return get_attribute(runtime, input, name);
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", input.type_name(), name));
}

Value size(Runtime&, const Value& input, Given given) {
  bind("length", given, {});
  return length(input);
}

Value first(Runtime&, const Value& input, Given given) {
  bind("first", given, {});
  if (auto item = iterate(input)()) return *std::move(item);
  return Value::undefined("No first item, sequence was empty.");
}

bool is_generator(const Value& value) {
  return value.is_object() && dynamic_cast<Generator*>(&value.object()) != nullptr;
}

Value last(Runtime& runtime, const Value& input, Given given) {
  bind("last", given, {});
  if (is_generator(input)) fault("'generator' object is not reversible");
  if ((input.is_list() || input.is_tuple()) && !input.items().empty()) return input.items().back();
  const std::vector<Value> items = to_vector(runtime, input);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value as_list(Runtime& runtime, const Value& input, Given given) {
  bind("list", given, {});
  return Value::list(to_vector(runtime, input));
}

int deepest(const std::vector<Value>& values) {
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  return depth;
}

/// A walk over items that are all there already.
Value walk(std::vector<Value> items) {
  const int depth = deepest(items);
  return generator(
      [items = std::move(items), i = std::size_t{0}]() mutable -> std::optional<Value> {
        if (i == items.size()) return std::nullopt;
        return items[i++];
      },
      depth);
}

Value reverse(Runtime& runtime, const Value& input, Given given) {
  bind("reverse", given, {});
  if (input.is_string()) {
    std::u32string characters = decode(input.text());
    std::reverse(characters.begin(), characters.end());
    return runtime.text(encode(characters));
  }
  std::vector<Value> items = to_vector(runtime, input);
  std::reverse(items.begin(), items.end());
  return is_generator(input) ? Value::list(std::move(items)) : walk(std::move(items));
}

Value pairs(Runtime& runtime, const Value& input, Given given) {
  bind("items", given, {});
  return generator(
      [&runtime, input, i = std::size_t{0}]() mutable -> std::optional<Value> {
        if (input.is_undefined()) return std::nullopt;
        if (!input.is_dict()) fault("Can only get item pairs from a mapping.");
        if (i == input.dict().size()) return std::nullopt;
        runtime.charge();
        const auto& [key, value] = input.dict().entries()[i++];
        return Value::tuple({key, value});
      },
      input.depth());
}

/// The arguments of a filter that applies another, without that one's name.
Arguments rest_of(Given given, std::size_t used) {
  Arguments rest = given;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(used));
  return rest;
}

using Transform = std::function<Value(const Value&)>;

Transform attribute_transform(Runtime& runtime, Given given) {
  Arguments named = given;
  const Value path = *named.take("attribute");
  const Value fallback = named.take("default").value_or(Value());
  if (!named.named.empty()) fault("map() got an unexpected argument '{}'", named.named[0].first);
  return [&runtime, getter = AttributeGetter(path), fallback](const Value& item) {
    return getter.get(runtime, item, fallback);
  };
}

Transform map_transform(Runtime& runtime, Given given) {
  if (given.positional.empty()) {
    const bool by_attribute =
        std::any_of(given.named.begin(), given.named.end(),
                    [](const auto& argument) { return argument.first == "attribute"; });
    if (!by_attribute) fault("map requires a filter argument");
    return attribute_transform(runtime, given);
  }
  const std::string name = want_text(given.positional[0], "a filter's name");
  const Filter filter = find_filter(name);
  if (filter == nullptr) fault("No filter named '{}'", name);
  return [&runtime, filter, rest = rest_of(given, 1)](const Value& item) {
    return filter(runtime, item, rest);
  };
}

/// Walks over `input` with what `prepare` makes at the first step, as Python's generators do.
template <typename Prepare, typename Step>
Value lazily(Runtime& runtime, const Value& input, Given given, Prepare prepare, Step step) {
  using Prepared = decltype(prepare());
  int depth = std::max(input.depth(), deepest(given.positional));
  for (const auto& [name, value] : given.named) depth = std::max(depth, value.depth());
  return generator(
      [&runtime, input, prepare, step, prepared = std::optional<Prepared>(),
       next = Cursor()]() mutable -> std::optional<Value> {
        if (!next) {
          if (!input.truthy()) return std::nullopt;
          prepared = prepare();
          next = iterate(input);
        }
        while (auto item = next()) {
          runtime.charge();
          if (auto result = step(*prepared, *std::move(item))) return result;
        }
        return std::nullopt;
      },
      depth);
}

Value map(Runtime& runtime, const Value& input, Given given) {
  return lazily(
      runtime, input, given, [&runtime, given] { return map_transform(runtime, given); },
      [](const Transform& transform, Value item) { return std::optional<Value>(transform(item)); });
}

using Predicate = std::function<bool(const Value&)>;

Predicate predicate(Runtime& runtime, Given given, bool by_attribute) {
  const std::size_t used = by_attribute ? 1 : 0;
  if (given.positional.size() < used) fault("the attribute's name is missing");
  const AttributeGetter getter(by_attribute ? given.positional[0] : Value());
  if (given.positional.size() == used) {
    return [&runtime, getter](const Value& item) { return getter.get(runtime, item).truthy(); };
  }
  const std::string name = want_text(given.positional[used], "a test's name");
  const Test test = find_test(name);
  if (test == nullptr) fault("No test named '{}'", name);
  return [&runtime, getter, test, rest = rest_of(given, used + 1)](const Value& item) {
    return test(runtime, getter.get(runtime, item), rest);
  };
}

template <bool by_attribute, bool wanted>
Value chosen(Runtime& runtime, const Value& input, Given given) {
  return lazily(
      runtime, input, given, [&runtime, given] { return predicate(runtime, given, by_attribute); },
      [](const Predicate& holds, Value item) {
        return holds(item) == wanted ? std::optional<Value>(std::move(item)) : std::nullopt;
      });
}

std::size_t want_count(const Value& value, std::string_view what) {
  const std::int64_t count = want_integer(value, what);
  if (count < 0 || count > max_range) fault("{} must lie between 0 and {}", what, max_range);
  return static_cast<std::size_t>(count);
}

/// A walk over what `make` returns when the first item is asked for.
template <typename Make>
Value walk_later(const Value& input, const Value& filler, Make make) {
  return generator(
      [make, items = std::optional<std::vector<Value>>(),
       i = std::size_t{0}]() mutable -> std::optional<Value> {
        if (!items) items = make();
        if (i == items->size()) return std::nullopt;
        return (*items)[i++];
      },
      std::max(input.depth(), filler.depth()) + 1);
}

std::vector<Value> batches(Runtime& runtime, const Value& input, std::size_t count,
                           const Value& filler) {
  std::vector<Value> all;
  std::vector<Value> line;
  for (Value& item : to_vector(runtime, input)) {
    if (line.size() == count) all.push_back(Value::list(std::exchange(line, {})));
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    runtime.charge(count);
    if (!filler.is_none() && line.size() < count) line.resize(count, filler);
    all.push_back(Value::list(std::move(line)));
  }
  return all;
}

Value batch(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("batch", given, {{"linecount"}, {"fill_with", Value()}});
  return walk_later(input, values[1], [&runtime, input, values] {
    return batches(runtime, input, want_count(values[0], "the size of a batch"), values[1]);
  });
}

std::vector<Value> slices(Runtime& runtime, const Value& input, std::size_t count,
                          const Value& filler) {
  const std::vector<Value> items = to_vector(runtime, input);
  if (count == 0) fault("the number of slices must not be 0");
  runtime.charge(count);
  std::vector<Value> all;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool longer = i < items.size() % count;
    const std::size_t end = begin + items.size() / count + (longer ? 1 : 0);
    std::vector<Value> slice(items.begin() + static_cast<std::ptrdiff_t>(begin),
                             items.begin() + static_cast<std::ptrdiff_t>(end));
    if (!filler.is_none() && !longer) slice.push_back(filler);
    all.push_back(Value::list(std::move(slice)));
    begin = end;
  }
  return all;
}

Value slice(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("slice", given, {{"slices"}, {"fill_with", Value()}});
  return walk_later(input, values[1], [&runtime, input, values] {
    return slices(runtime, input, want_count(values[0], "the number of slices"), values[1]);
  });
}

constexpr NamedFilter filters[] = {
    {"attr", attribute},
    {"batch", batch},
    {"count", size},
    {"d", otherwise},
    {"default", otherwise},
    {"first", first},
    {"items", pairs},
    {"last", last},
    {"length", size},
    {"list", as_list},
    {"map", map},
    {"reject", chosen<false, false>},
    {"rejectattr", chosen<true, false>},
    {"reverse", reverse},
    {"select", chosen<false, true>},
    {"selectattr", chosen<true, true>},
    {"slice", slice},
};

}  // namespace

AttributeGetter::AttributeGetter(const Value& attribute) {
  if (attribute.is_none()) return;
  if (!attribute.is_string()) {
    path_.push_back(attribute);
    return;
  }
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    const bool is_index =
        !part.empty() && part.size() < 19 && part.find_first_not_of("0123456789") == part.npos;
    path_.push_back(is_index ? Value(std::stoll(part)) : Value(part));
    if (dot == rest.npos) return;
    rest.remove_prefix(dot + 1);
  }
}

Value AttributeGetter::get(Runtime& runtime, Value item, const Value& otherwise_value) const {
  for (const Value& part : path_) {
    item = get_item(runtime, item, part);
    if (item.is_undefined() && !otherwise_value.is_none()) item = otherwise_value;
  }
  return item;
}

Filter find_sequence_filter(std::string_view name) { return find_in(filters, name); }

Filter find_filter(std::string_view name) {
  for (const auto find :
       {find_sequence_filter, find_text_filter, find_order_filter, find_number_filter}) {
    if (const Filter filter = find(name)) return filter;
  }
  return nullptr;
}

}  // namespace trireme::jinja
