// Filters that sort, compare and add up.
#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/filters.h"
#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

Value without_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  return runtime.text(lower(value.text()));
}

struct Keyed {
  Value key;
  Value item;
};

/// Stable both ways, as sorted() is.
std::vector<Value> sorted(Runtime& runtime, std::vector<Keyed> entries, bool descending) {
  std::stable_sort(entries.begin(), entries.end(), [&](const Keyed& a, const Keyed& b) {
    runtime.charge();
    return descending ? compares(runtime, Operator::less, b.key, a.key)
                      : compares(runtime, Operator::less, a.key, b.key);
  });
  std::vector<Value> items;
  for (Keyed& entry : entries) items.push_back(std::move(entry.item));
  return items;
}

/// The getters of "name,age": one for each part.
std::vector<AttributeGetter> getters(const Value& attribute) {
  if (!attribute.is_string()) return {AttributeGetter(attribute)};
  std::vector<AttributeGetter> all;
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t comma = rest.find(',');
    all.emplace_back(Value(rest.substr(0, comma)));
    if (comma == rest.npos) return all;
    rest.remove_prefix(comma + 1);
  }
}

Value sort(Runtime& runtime, const Value& input, Given given) {
  const auto values =
      bind("sort", given,
           {{"reverse", Value(false)}, {"case_sensitive", Value(false)}, {"attribute", Value()}});
  const auto parts = getters(values[2]);
  std::vector<Keyed> entries;
  for (Value& item : to_vector(runtime, input)) {
    std::vector<Value> key;
    for (const AttributeGetter& getter : parts) {
      key.push_back(without_case(runtime, getter.get(runtime, item), values[1].truthy()));
    }
    entries.push_back({Value::list(std::move(key)), std::move(item)});
  }
  return Value::list(sorted(runtime, std::move(entries), values[0].truthy()));
}

Value sort_dict(Runtime& runtime, const Value& input, Given given) {
  const auto values =
      bind("dictsort", given,
           {{"case_sensitive", Value(false)}, {"by", Value("key")}, {"reverse", Value(false)}});
  const std::string& by = want_text(values[1], "by");
  if (by != "key" && by != "value") fault("dictsort sorts by 'key' or 'value'");
  if (input.is_undefined()) fault("{}", input.why_undefined());
  if (!input.is_dict()) fault("dictsort needs a mapping, not '{}'", input.type_name());
  std::vector<Keyed> entries;
  for (const auto& [key, value] : input.dict().entries()) {
    runtime.charge();
    entries.push_back({without_case(runtime, by == "key" ? key : value, values[0].truthy()),
                       Value::tuple({key, value})});
  }
  return Value::list(sorted(runtime, std::move(entries), values[2].truthy()));
}

template <Operator better>
Value extreme(Runtime& runtime, const Value& input, Given given) {
  const auto values =
      bind("the filter", given, {{"case_sensitive", Value(false)}, {"attribute", Value()}});
  const AttributeGetter getter(values[1]);
  const auto key = [&](const Value& item) {
    return without_case(runtime, getter.get(runtime, item), values[0].truthy());
  };
  const std::vector<Value> items = to_vector(runtime, input);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Value* best = &items.front();
  Value best_key = key(*best);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value candidate = key(items[i]);
    if (!compares(runtime, better, candidate, best_key)) continue;
    best = &items[i];
    best_key = std::move(candidate);
  }
  return *best;
}

Value sum(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("sum", given, {{"attribute", Value()}, {"start", Value(0)}});
  const AttributeGetter getter(values[0]);
  Value total = values[1];
  if (total.is_string()) fault("sum() can't sum strings, use join instead");
  const Cursor next = iterate(input);
  while (auto item = next()) {
    total = arithmetic(runtime, Operator::add, total, getter.get(runtime, *std::move(item)));
    runtime.charge();
  }
  return total;
}

Value unique(Runtime& runtime, const Value& input, Given given) {
  const auto values =
      bind("unique", given, {{"case_sensitive", Value(false)}, {"attribute", Value()}});
  const bool case_sensitive = values[0].truthy();
  return generator(
      [&runtime, input, case_sensitive, getter = AttributeGetter(values[1]), seen = Dict(),
       next = Cursor()]() mutable -> std::optional<Value> {
        if (!next) next = iterate(input);
        while (auto item = next()) {
          Value key = without_case(runtime, getter.get(runtime, *item), case_sensitive);
          runtime.charge(1 + key.weight() / 8);
          if (seen.find(key) != nullptr) continue;
          seen.set(std::move(key), Value());
          return item;
        }
        return std::nullopt;
      },
      input.depth());
}

constexpr NamedFilter filters[] = {
    {"dictsort", sort_dict},
    {"max", extreme<Operator::greater>},
    {"min", extreme<Operator::less>},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Filter find_order_filter(std::string_view name) { return find_in(filters, name); }

}  // namespace trireme::jinja
