#include "text/jinja/objects.h"

#include "text/jinja/fault.h"
#include "text/jinja/print.h"

namespace trireme::jinja {
namespace {

/// The number of items, computed where nothing overflows.
std::size_t range_size(std::int64_t start, std::int64_t stop, std::int64_t step) {
  if (step == 0) fault("range() arg 3 must not be zero");
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const auto low = static_cast<std::uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<std::uint64_t>(step > 0 ? stop : start);
  const std::uint64_t stride =
      step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const std::uint64_t size = (high - low - 1) / stride + 1;
  if (size > static_cast<std::uint64_t>(max_range)) {
    fault("a range of more than {} items is refused", max_range);
  }
  return size;
}

}  // namespace

Range::Range(std::int64_t start, std::int64_t stop, std::int64_t step)
    : start_(start), stop_(stop), step_(step), size_(range_size(start, stop, step)) {}

std::string Range::repr(Runtime&) const {
  return step_ == 1 ? fmt::format("range({}, {})", start_, stop_)
                    : fmt::format("range({}, {}, {})", start_, stop_, step_);
}

std::int64_t Range::at(std::size_t index) const {
  return start_ + static_cast<std::int64_t>(index) * step_;
}

Range Range::sliced(std::int64_t start, std::int64_t stop, std::int64_t step) const {
  // The bounds lie within the length, so only the step can be large.
  std::int64_t stride = 0;
  if (__builtin_mul_overflow(step_, step, &stride)) fault("a slice step is too large");
  return Range(start_ + start * step_, start_ + stop * step_, stride);
}

std::optional<Cursor> Range::iterate() {
  return [range = *this, i = std::size_t{0}]() mutable -> std::optional<Value> {
    if (i == range.size_) return std::nullopt;
    return Value(range.at(i++));
  };
}

Generator::Generator(Cursor next, int depth)
    : next_(std::make_shared<Cursor>(std::move(next))), depth_(depth) {
  if (depth > max_value_depth) fault("a value nests more than {} levels deep", max_value_depth);
}

std::optional<Cursor> Generator::iterate() {
  return [next = next_] { return (*next)(); };
}

std::string_view View::type_name() const {
  if (kind_ == Kind::keys) return "dict_keys";
  return kind_ == Kind::values ? "dict_values" : "dict_items";
}

Value View::at(std::size_t index) const {
  const auto& [key, value] = dict_.dict().entries()[index];
  if (kind_ == Kind::keys) return key;
  return kind_ == Kind::values ? value : Value::tuple({key, value});
}

std::string View::repr(Runtime& runtime) const {
  std::vector<Value> items;
  for (std::size_t i = 0; i < dict_.dict().size(); ++i) items.push_back(at(i));
  runtime.charge(items.size());
  return fmt::format("{}({})", type_name(), jinja::repr(runtime, Value::list(std::move(items))));
}

std::optional<Cursor> View::iterate() {
  return [view = *this, i = std::size_t{0}]() mutable -> std::optional<Value> {
    if (i == view.dict_.dict().size()) return std::nullopt;
    return view.at(i++);
  };
}

std::string Namespace::repr(Runtime& runtime) const {
  if (printing_) return "<Namespace {...}>";
  printing_ = true;
  const std::shared_ptr<const bool> reset(&printing_, [this](const bool*) { printing_ = false; });
  return fmt::format("<Namespace {}>", jinja::repr(runtime, Value::dict(attributes_)));
}

std::optional<Value> Namespace::attribute(const std::string& name) {
  const Value* found = attributes_.find(name);
  if (found == nullptr) return std::nullopt;
  if (!name.starts_with('_')) return *found;
  return Value::undefined(
      fmt::format("access to attribute '{}' of 'Namespace' object is unsafe.", name));
}

Value generator(Cursor next, int depth) {
  return Value(std::make_shared<Generator>(std::move(next), depth + 1));
}

Value function(std::string name, Function::Body body, int depth) {
  return Value(std::make_shared<Function>(std::move(name), std::move(body), depth));
}

}  // namespace trireme::jinja
