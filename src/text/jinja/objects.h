// The objects that templates meet beside plain data.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace trireme::jinja {

/// range(): as long as limits.h allows.
class Range : public Object {
 public:
  Range(std::int64_t start, std::int64_t stop, std::int64_t step);
  std::string_view type_name() const override { return "range"; }
  std::string repr(Runtime& runtime) const override;
  std::optional<Cursor> iterate() override;
  std::optional<std::size_t> length() override { return size_; }
  bool is_sequence() const override { return true; }
  /// `index` < length().
  std::int64_t at(std::size_t index) const;
  /// The range over the items that a slice takes, as CPython computes it.
  Range sliced(std::int64_t start, std::int64_t stop, std::int64_t step) const;

 private:
  std::int64_t start_;
  std::int64_t stop_;
  std::int64_t step_;
  std::size_t size_;
};

/// What a lazy filter returns: it can be walked once, and is true whatever it holds.
class Generator : public Object {
 public:
  /// `depth`: one more than of all that the cursor holds.
  Generator(Cursor next, int depth);
  std::string_view type_name() const override { return "generator"; }
  std::string repr(Runtime&) const override { return "<generator object>"; }
  std::optional<Cursor> iterate() override;
  int depth() const override { return depth_; }

 private:
  std::shared_ptr<Cursor> next_;
  int depth_;
};

/// dict.keys(), dict.values(), dict.items().
class View : public Object {
 public:
  enum class Kind { keys, values, items };
  View(Kind kind, Value dict) : kind_(kind), dict_(std::move(dict)) {}
  std::string_view type_name() const override;
  std::string repr(Runtime& runtime) const override;
  std::optional<Cursor> iterate() override;
  std::optional<std::size_t> length() override { return dict_.dict().size(); }
  int depth() const override { return dict_.depth() + 1; }

 private:
  Value at(std::size_t index) const;
  Kind kind_;
  Value dict_;
};

/// namespace(): the one thing that a template can change.
class Namespace : public Object {
 public:
  explicit Namespace(Dict attributes) : attributes_(std::move(attributes)) {}
  std::string_view type_name() const override { return "Namespace"; }
  std::string repr(Runtime& runtime) const override;
  std::optional<Value> attribute(const std::string& name) override;
  void set(const std::string& name, Value value) { attributes_.set(name, std::move(value)); }
  void clear() { attributes_ = Dict(); }

 private:
  Dict attributes_;
  mutable bool printing_ = false;  ///< within itself it prints as {...}
};

/// Anything that can be called: a global, a method bound to its object, a macro.
class Function : public Object {
 public:
  using Body = std::function<Value(Runtime&, Arguments&)>;
  Function(std::string repr, Body body, int depth = 0)
      : repr_(std::move(repr)), body_(std::move(body)), depth_(depth) {}
  std::string_view type_name() const override { return "function"; }
  std::string repr(Runtime&) const override { return repr_; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override { return body_(runtime, arguments); }
  int depth() const override { return depth_; }

 private:
  std::string repr_;
  Body body_;
  int depth_;
};

/// A lazy filter's result over values that nest at most `depth` levels deep.
Value generator(Cursor next, int depth);
Value function(std::string name, Function::Body body, int depth = 0);

}  // namespace trireme::jinja
