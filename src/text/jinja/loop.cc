#include "text/jinja/loop.h"

#include <fmt/core.h>

#include <vector>

#include "text/jinja/fault.h"
#include "text/jinja/objects.h"

namespace trireme::jinja {

std::optional<Value> Loop::advance() {
  std::optional<Value> item = peeked_ ? std::move(after_) : next_();
  peeked_ = false;
  after_.reset();
  if (!item) return std::nullopt;
  ++index0_;
  before_ = std::move(current_);
  current_ = item;
  return item;
}

const std::optional<Value>& Loop::peek() {
  if (!peeked_) after_ = next_();
  peeked_ = true;
  return after_;
}

/// An iterable of unknown size is walked to its end and kept.
std::size_t Loop::count() {
  if (size_) return *size_;
  std::vector<Value> rest;
  if (peeked_ && !after_) {
    size_ = static_cast<std::size_t>(index0_ + 1);
    return *size_;
  }
  while (auto item = next_()) {
    runtime_.charge();
    rest.push_back(*std::move(item));
  }
  size_ = rest.size() + static_cast<std::size_t>(index0_ + 1) + (peeked_ ? 1 : 0);
  next_ = [rest = std::move(rest), i = std::size_t{0}]() mutable -> std::optional<Value> {
    if (i == rest.size()) return std::nullopt;
    return rest[i++];
  };
  return *size_;
}

std::optional<std::size_t> Loop::length() { return count(); }

std::string Loop::repr(Runtime&) const { return fmt::format("<LoopContext {}>", index0_ + 1); }

Value Loop::call(Runtime&, Arguments&) {
  fault("the loop must have the 'recursive' marker to be called recursively");
}

Value Loop::cycle(Arguments& arguments) const {
  if (arguments.positional.empty()) fault("no items for cycling given");
  return arguments.positional[static_cast<std::size_t>(index0_) % arguments.positional.size()];
}

Value Loop::changed(Arguments& arguments) {
  Value now = Value::tuple(arguments.positional);
  if (last_changed_ && equal(*last_changed_, now)) return false;
  if (!last_changed_)
    runtime_.empty_at_end([self = shared_from_this()] { self->last_changed_.reset(); });
  runtime_.charge(1 + now.weight() / 8);
  last_changed_ = std::move(now);
  return true;
}

std::optional<Value> Loop::attribute(const std::string& name) {
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(!peek().has_value());
  if (name == "length") return Value(count());
  if (name == "revindex") return Value(static_cast<std::int64_t>(count()) - index0_);
  if (name == "revindex0") return Value(static_cast<std::int64_t>(count()) - index0_ - 1);
  if (name == "depth") return Value(1);
  if (name == "depth0") return Value(0);
  if (name == "previtem") {
    return before_ ? *before_ : Value::undefined("there is no previous item");
  }
  if (name == "nextitem") return peek() ? *peek() : Value::undefined("there is no next item");
  const auto self = shared_from_this();
  if (name == "cycle") {
    return function(
        "<bound method LoopContext.cycle>",
        [self](Runtime&, Arguments& given) { return self->cycle(given); }, depth_ + 1);
  }
  if (name == "changed") {
    return function(
        "<bound method LoopContext.changed>",
        [self](Runtime&, Arguments& given) { return self->changed(given); }, depth_ + 1);
  }
  return std::nullopt;
}

}  // namespace trireme::jinja
