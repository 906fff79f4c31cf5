// The values that a template computes with: Python's, as far as templates can tell.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace trireme::jinja {

class Arguments;
class Dict;
class Object;
class Runtime;
class Value;

/// Produces the items of an iterable one by one, nothing at the end. Lazy, as Python's iterators.
using Cursor = std::function<std::optional<Value>()>;

/// The items of a list or tuple. How deep it nests and how much it holds are known, so that a walk
/// over any value ends soon: what would exceed limits.h cannot be built.
struct Sequence {
  std::vector<Value> items;
  int depth = 1;
  std::size_t weight = 1;
};

/// Why a value is undefined: the message of the error that using it raises.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};
struct List {
  std::shared_ptr<const Sequence> sequence;
};
struct Tuple {
  std::shared_ptr<const Sequence> sequence;
};

/// An immutable value; copies share what it holds.
class Value {
 public:
  Value() : data_(None{}) {}
  template <typename T>
  requires std::same_as<T, bool> Value(T value) : data_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T value) : data_(static_cast<std::int64_t>(value)) {}
  Value(double value) : data_(value) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}
  /// Throw Fault when they nest too deeply or hold too much.
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value dict(Dict entries);
  static Value undefined(std::string why);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  /// An int that is no bool.
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_real() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_integer() || is_real(); }
  bool is_string() const { return std::holds_alternative<TextRef>(data_); }
  bool is_list() const { return std::holds_alternative<List>(data_); }
  bool is_tuple() const { return std::holds_alternative<Tuple>(data_); }
  bool is_dict() const { return std::holds_alternative<DictRef>(data_); }
  bool is_object() const { return std::holds_alternative<std::shared_ptr<Object>>(data_); }

  bool boolean() const { return std::get<bool>(data_); }
  std::int64_t integer() const { return std::get<std::int64_t>(data_); }
  double real() const { return std::get<double>(data_); }
  const std::string& text() const { return *std::get<TextRef>(data_); }
  /// Of a list or a tuple.
  const std::vector<Value>& items() const;
  const Dict& dict() const { return *std::get<DictRef>(data_); }
  Object& object() const { return *std::get<std::shared_ptr<Object>>(data_); }
  const std::string& why_undefined() const { return *std::get<Undefined>(data_).why; }

  /// The value of an int or a bool; nothing for everything else.
  std::optional<std::int64_t> as_integer() const;
  /// The value of any number; nothing for everything else.
  std::optional<double> as_real() const;

  bool truthy() const;
  /// Python's type name, for messages: "str", "list", "Undefined".
  std::string_view type_name() const;
  int depth() const;
  std::size_t weight() const;
  /// Python's `is`, as far as a template can know.
  bool same_as(const Value& other) const;

 private:
  using TextRef = std::shared_ptr<const std::string>;
  using DictRef = std::shared_ptr<const Dict>;
  template <typename T>
  struct Wrapped {};
  template <typename T>
  Value(Wrapped<T>, T data) : data_(std::move(data)) {}

  std::variant<Undefined, None, bool, std::int64_t, double, TextRef, List, Tuple, DictRef,
               std::shared_ptr<Object>>
      data_;
};

/// Python's ==. Never fails: values of different kinds differ.
bool equal(const Value& a, const Value& b);
/// Throws Fault for a list, a dict: what Python cannot use as a key.
std::size_t hash(const Value& value);
/// Python's ordering: -1, 0, 1, or 2 when a NaN is neither. Throws Fault for kinds without one.
int compare(const Value& a, const Value& b, std::string_view operation);

/// A dict: insertion-ordered, keys of any hashable kind, 1 and 1.0 and true being one key.
class Dict {
 public:
  void set(Value key, Value value);
  const Value* find(const Value& key) const;
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }
  std::size_t weight() const { return weight_; }

 private:
  struct Hash {
    std::size_t operator()(const Value& value) const { return hash(value); }
  };
  struct Equal {
    bool operator()(const Value& a, const Value& b) const { return equal(a, b); }
  };
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<Value, std::size_t, Hash, Equal> index_;
  int depth_ = 1;
  std::size_t weight_ = 1;
};

/// Everything that is not plain data: ranges, iterators, views, namespaces, functions, `loop`.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  virtual std::string repr(Runtime& runtime) const = 0;
  virtual std::optional<Value> attribute(const std::string&) { return std::nullopt; }
  virtual std::optional<Cursor> iterate() { return std::nullopt; }
  /// Nothing when len() fails.
  virtual std::optional<std::size_t> length() { return std::nullopt; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments& arguments);
  virtual bool is_sequence() const { return false; }
  virtual int depth() const { return 0; }
};

/// From JSON. Throws Fault for integers beyond 64 bits, invalid UTF-8 and deep nesting.
Value from_json(const nlohmann::ordered_json& json);

}  // namespace trireme::jinja
