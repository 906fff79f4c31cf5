#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/fault.h"
#include "text/jinja/format.h"
#include "text/jinja/print.h"

namespace trireme::jinja {
namespace {

[[noreturn]] void overflow() { fault("an integer does not fit in 64 bits"); }

std::string_view symbol(Operator operation) {
  constexpr std::string_view symbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return symbols[static_cast<std::size_t>(operation)];
}

/// Rounds towards minus infinity, as Python does.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) fault("integer division or modulo by zero");
  if (b == -1) {
    std::int64_t result = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) overflow();
    return result;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) fault("integer division or modulo by zero");
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double modulo(double a, double b) {
  if (b == 0) fault("float modulo by zero");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

/// CPython's float_floor_div: the quotient is snapped to the nearest whole number.
double floor_divide(double a, double b) {
  if (b == 0) fault("float floor division by zero");
  const double quotient = (a - modulo(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

double power(double base, double exponent) {
  if (base == 0 && exponent < 0) fault("0.0 cannot be raised to a negative power");
  const double result = std::pow(base, exponent);
  if (std::isnan(result) && !std::isnan(base) && !std::isnan(exponent)) {
    fault("complex numbers are not supported");
  }
  if (std::isinf(result) && !std::isinf(base) && !std::isinf(exponent)) {
    fault("the result of ** is too large");
  }
  return result;
}

Value integers(Operator operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflowed = false;
  switch (operation) {
    case Operator::add:
      overflowed = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::subtract:
      overflowed = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::multiply:
      overflowed = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::divide:
      if (b == 0) fault("division by zero");
      return static_cast<double>(a) / static_cast<double>(b);
    case Operator::floor_divide:
      return floor_divide(a, b);
    case Operator::modulo:
      return modulo(a, b);
    default:
      if (b < 0) return power(static_cast<double>(a), static_cast<double>(b));
      return integer_power(a, b);
  }
  if (overflowed) overflow();
  return result;
}

Value reals(Operator operation, double a, double b) {
  switch (operation) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      if (b == 0) fault("float division by zero");
      return a / b;
    case Operator::floor_divide:
      return floor_divide(a, b);
    case Operator::modulo:
      return modulo(a, b);
    default:
      return power(a, b);
  }
}

Value rebuild(const Value& like, std::vector<Value> items) {
  return like.is_list() ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

Value joined(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_string()) return runtime.text(left.text() + right.text());
  runtime.charge(left.items().size() + right.items().size());
  std::vector<Value> items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  return rebuild(left, std::move(items));
}

Value repeated(Runtime& runtime, const Value& sequence, std::int64_t times) {
  const std::size_t size = sequence.is_string() ? sequence.text().size() : sequence.items().size();
  if (times <= 0 || size == 0) times = 0;
  const auto count = static_cast<std::size_t>(times);
  std::size_t total = 0;
  if (__builtin_mul_overflow(count, size, &total)) total = SIZE_MAX;
  runtime.check_size(total);
  if (sequence.is_string()) {
    std::string text;
    text.reserve(total);
    for (std::size_t i = 0; i < count; ++i) text += sequence.text();
    return runtime.text(std::move(text));
  }
  runtime.charge(total);
  std::vector<Value> items;
  for (std::size_t i = 0; i < count; ++i) {
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return rebuild(sequence, std::move(items));
}

bool is_sequence(const Value& value) {
  return value.is_string() || value.is_list() || value.is_tuple();
}

bool same_sequence_kind(const Value& a, const Value& b) {
  return (a.is_string() && b.is_string()) || (a.is_list() && b.is_list()) ||
         (a.is_tuple() && b.is_tuple());
}

}  // namespace

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value arithmetic(Runtime& runtime, Operator operation, const Value& left, const Value& right) {
  if (operation == Operator::modulo && left.is_string()) {
    return runtime.text(format_printf(runtime, left.text(), right));
  }
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined()) fault("{}", side->why_undefined());
  }
  if (left.as_integer() && right.as_integer()) {
    return integers(operation, *left.as_integer(), *right.as_integer());
  }
  if (left.is_number() && right.is_number()) {
    return reals(operation, *left.as_real(), *right.as_real());
  }
  if (operation == Operator::add && same_sequence_kind(left, right)) {
    return joined(runtime, left, right);
  }
  if (operation == Operator::multiply) {
    if (is_sequence(left) && right.as_integer()) {
      return repeated(runtime, left, *right.as_integer());
    }
    if (is_sequence(right) && left.as_integer()) {
      return repeated(runtime, right, *left.as_integer());
    }
  }
  fault("unsupported operand type(s) for {}: '{}' and '{}'", symbol(operation), left.type_name(),
        right.type_name());
}

Value negative(const Value& value) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  if (value.is_real()) return -value.real();
  if (!value.is_number()) fault("bad operand type for unary -: '{}'", value.type_name());
  return integers(Operator::subtract, 0, *value.as_integer());
}

Value positive(const Value& value) {
  if (value.is_undefined()) fault("{}", value.why_undefined());
  if (value.is_real()) return value;
  if (!value.is_number()) fault("bad operand type for unary +: '{}'", value.type_name());
  return *value.as_integer();
}

bool charged_equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(std::min(left.weight(), right.weight()) / 2);
  return equal(left, right);
}

bool compares(Runtime& runtime, Operator operation, const Value& left, const Value& right) {
  switch (operation) {
    case Operator::equal:
      return charged_equal(runtime, left, right);
    case Operator::unequal:
      return !charged_equal(runtime, left, right);
    case Operator::in:
      return contains(runtime, right, left);
    case Operator::not_in:
      return !contains(runtime, right, left);
    default:
      break;
  }
  runtime.charge(std::min(left.weight(), right.weight()) / 2);
  const int order = compare(left, right, symbol(operation));
  if (operation == Operator::less) return order == -1;
  if (operation == Operator::less_equal) return order == -1 || order == 0;
  if (operation == Operator::greater) return order == 1;
  return order == 1 || order == 0;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      fault("'in <string>' requires string as left operand, not {}", item.type_name());
    }
    runtime.charge(container.text().size() / 16);
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is_dict()) {
    runtime.charge(item.weight() / 8);
    return container.dict().find(item) != nullptr;
  }
  const Cursor next = iterate(container);
  while (const auto candidate = next()) {
    runtime.charge();
    if (charged_equal(runtime, *candidate, item)) return true;
  }
  return false;
}

}  // namespace trireme::jinja
