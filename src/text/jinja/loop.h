// The variable `loop` within a for loop.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace trireme::jinja {

/// Walks over an iterable and tells where it is; looks ahead only as far as it is asked to.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  /// `size`: of the iterable, when it is known without walking. `depth0`: always 0, as recursive
  /// loops are not supported.
  Loop(Runtime& runtime, Cursor next, std::optional<std::size_t> size, int depth)
      : runtime_(runtime), next_(std::move(next)), size_(size), depth_(depth) {}

  /// The next item, nothing after the last.
  std::optional<Value> advance();

  std::string_view type_name() const override { return "LoopContext"; }
  std::string repr(Runtime& runtime) const override;
  std::optional<Value> attribute(const std::string& name) override;
  std::optional<std::size_t> length() override;
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override;
  int depth() const override { return depth_; }

 private:
  const std::optional<Value>& peek();
  std::size_t count();
  Value cycle(Arguments& arguments) const;
  Value changed(Arguments& arguments);

  Runtime& runtime_;
  Cursor next_;
  std::optional<std::size_t> size_;
  int depth_;
  std::int64_t index0_ = -1;
  std::optional<Value> before_;
  std::optional<Value> current_;
  std::optional<Value> after_;
  bool peeked_ = false;
  std::optional<Value> last_changed_;
};

}  // namespace trireme::jinja
