#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "text/jinja/fault.h"
#include "text/jinja/limits.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

void check_extent(int depth, std::size_t weight) {
  if (depth > max_value_depth) fault("a value nests more than {} levels deep", max_value_depth);
  if (weight > max_value_weight) fault("a value holds more than {} MiB", max_value_weight >> 16);
}

std::shared_ptr<const Sequence> make_sequence(std::vector<Value> items) {
  auto sequence = std::make_shared<Sequence>();
  for (const Value& item : items) {
    sequence->depth = std::max(sequence->depth, item.depth() + 1);
    sequence->weight += item.weight();
    check_extent(sequence->depth, sequence->weight);
  }
  sequence->items = std::move(items);
  return sequence;
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

/// Exact, as Python's: no double stands between two integers.
int compare_numbers(const Value& a, const Value& b) {
  if (a.as_integer() && b.as_integer()) {
    return *a.as_integer() < *b.as_integer() ? -1 : *a.as_integer() > *b.as_integer();
  }
  if (a.is_real() && b.is_real()) {
    if (std::isnan(a.real()) || std::isnan(b.real())) return 2;
    return a.real() < b.real() ? -1 : a.real() > b.real();
  }
  if (a.is_real()) {
    const int reversed = compare_numbers(b, a);
    return reversed == 2 ? 2 : -reversed;
  }
  constexpr double two_to_63 = 9223372036854775808.0;
  const double real = b.real();
  if (std::isnan(real)) return 2;
  if (real >= two_to_63) return -1;
  if (real < -two_to_63) return 1;
  const double floor = std::floor(real);
  const auto whole = static_cast<std::int64_t>(floor);
  const std::int64_t integer = *a.as_integer();
  if (integer != whole) return integer < whole ? -1 : 1;
  return real > floor ? -1 : 0;
}

int compare_items(const std::vector<Value>& a, const std::vector<Value>& b,
                  std::string_view operation) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!equal(a[i], b[i])) return compare(a[i], b[i], operation);
  }
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

}  // namespace

Value Value::list(std::vector<Value> items) {
  return Value(Wrapped<List>{}, List{make_sequence(std::move(items))});
}

Value Value::tuple(std::vector<Value> items) {
  return Value(Wrapped<Tuple>{}, Tuple{make_sequence(std::move(items))});
}

Value Value::undefined(std::string why) {
  return Value(Wrapped<Undefined>{},
               Undefined{std::make_shared<const std::string>(std::move(why))});
}

Value Value::dict(Dict entries) {
  Value result(Wrapped<DictRef>{}, std::make_shared<const Dict>(std::move(entries)));
  check_extent(result.depth(), result.weight());
  return result;
}

const std::vector<Value>& Value::items() const {
  const auto* list = std::get_if<List>(&data_);
  return list != nullptr ? list->sequence->items : std::get<Tuple>(data_).sequence->items;
}

std::optional<std::int64_t> Value::as_integer() const {
  if (is_bool()) return boolean() ? 1 : 0;
  if (is_integer()) return integer();
  return std::nullopt;
}

std::optional<double> Value::as_real() const {
  if (is_real()) return real();
  const auto whole = as_integer();
  return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_bool()) return boolean();
  if (is_integer()) return integer() != 0;
  if (is_real()) return real() != 0.0;
  if (is_string()) return !text().empty();
  if (is_list() || is_tuple()) return !items().empty();
  if (is_dict()) return dict().size() != 0;
  return object().length().value_or(1) != 0;
}

std::string_view Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_integer()) return "int";
  if (is_real()) return "float";
  if (is_string()) return "str";
  if (is_list()) return "list";
  if (is_tuple()) return "tuple";
  if (is_dict()) return "dict";
  return object().type_name();
}

int Value::depth() const {
  if (const auto* list = std::get_if<List>(&data_)) return list->sequence->depth;
  if (const auto* tuple = std::get_if<Tuple>(&data_)) return tuple->sequence->depth;
  if (is_object()) return object().depth();
  if (!is_dict()) return 0;
  return dict().depth();
}

std::size_t Value::weight() const {
  if (const auto* list = std::get_if<List>(&data_)) return list->sequence->weight;
  if (const auto* tuple = std::get_if<Tuple>(&data_)) return tuple->sequence->weight;
  if (is_string()) return 1 + text().size() / 16;
  return is_dict() ? dict().weight() : 1;
}

bool Value::same_as(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_object()) return &object() == &other.object();
  if (is_list() || is_tuple()) return &items() == &other.items();
  if (is_dict()) return &dict() == &other.dict();
  return equal(*this, other);
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.is_string() && b.is_string()) return a.text() == b.text();
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple())) {
    return equal_items(a.items(), b.items());
  }
  if (a.is_dict() && b.is_dict()) return equal_dicts(a.dict(), b.dict());
  if (a.is_object() && b.is_object()) return &a.object() == &b.object();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int compare(const Value& a, const Value& b, std::string_view operation) {
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) fault("{}", side->why_undefined());
  }
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  // UTF-8 sorts by bytes as Unicode sorts by code points.
  if (a.is_string() && b.is_string()) return std::clamp(a.text().compare(b.text()), -1, 1);
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple())) {
    return compare_items(a.items(), b.items(), operation);
  }
  fault("'{}' not supported between instances of '{}' and '{}'", operation, a.type_name(),
        b.type_name());
}

std::size_t hash(const Value& value) {
  if (const auto whole = value.as_integer()) return std::hash<std::int64_t>{}(*whole);
  if (value.is_real()) {
    const double real = value.real();
    const bool integral = std::abs(real) < 9e18 && real == std::floor(real);
    return integral ? std::hash<std::int64_t>{}(static_cast<std::int64_t>(real))
                    : std::hash<double>{}(real);
  }
  if (value.is_string()) return std::hash<std::string>{}(value.text());
  if (value.is_list() || value.is_dict()) fault("unhashable type: '{}'", value.type_name());
  if (value.is_object()) return std::hash<const void*>{}(&value.object());
  if (!value.is_tuple()) return value.is_none() ? 1 : 2;
  std::size_t combined = 17;
  for (const Value& item : value.items()) combined = combined * 31 + hash(item);
  return combined;
}

void Dict::set(Value key, Value value) {
  const auto [place, added] = index_.try_emplace(key, entries_.size());
  depth_ = std::max({depth_, key.depth() + 1, value.depth() + 1});
  weight_ += value.weight() + (added ? key.weight() : 0);
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

const Value* Dict::find(const Value& key) const {
  if (index_.empty()) hash(key);  // what cannot be a key is an error in an empty dict too
  const auto place = index_.find(key);
  return place == index_.end() ? nullptr : &entries_[place->second].second;
}

Value Object::call(Runtime&, Arguments&) { fault("'{}' object is not callable", type_name()); }

namespace {

Value from_json(const nlohmann::ordered_json& json, int depth);

Value integer_from_json(const nlohmann::ordered_json& json) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > largest) {
    fault("the integer {} does not fit in 64 bits", json.dump());
  }
  return json.get<std::int64_t>();
}

std::string checked_text(const std::string& text) {
  if (!valid_utf8(text)) fault("a string is not valid UTF-8");
  return text;
}

Value dict_from_json(const nlohmann::ordered_json& json, int depth) {
  Dict dict;
  for (const auto& [key, item] : json.items()) {
    dict.set(Value(checked_text(key)), from_json(item, depth + 1));
  }
  return Value::dict(std::move(dict));
}

Value from_json(const nlohmann::ordered_json& json, int depth) {
  if (depth > max_value_depth) fault("JSON nests more than {} levels deep", max_value_depth);
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return integer_from_json(json);
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return Value(checked_text(json.get_ref<const std::string&>()));
  if (json.is_object()) return dict_from_json(json, depth);
  if (!json.is_array()) return Value();
  std::vector<Value> items;
  for (const auto& item : json) items.push_back(from_json(item, depth + 1));
  return Value::list(std::move(items));
}

}  // namespace

Value from_json(const nlohmann::ordered_json& json) { return from_json(json, 0); }

}  // namespace trireme::jinja
