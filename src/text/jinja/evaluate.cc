// Expressions.
#include <algorithm>
#include <array>

#include "text/jinja/attributes.h"
#include "text/jinja/fault.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/tests.h"

namespace trireme::jinja {

using Kind = ExpressionKind;

Value Interpreter::evaluate(const Expression& expression) {
  const Runtime::Level level(runtime_);
  runtime_.charge();
  runtime_.at_line(expression.line);
  const auto part = [&](std::size_t i) { return evaluate(*expression.parts[i]); };
  switch (expression.kind) {
    case Kind::constant:
      return expression.constant;
    case Kind::name:
      return evaluate_name(expression);
    case Kind::list:
      return Value::list(evaluate_parts(expression));
    case Kind::tuple:
      return Value::tuple(evaluate_parts(expression));
    case Kind::dict:
      return evaluate_dict(expression);
    case Kind::attribute:
      return get_attribute(runtime_, part(0), expression.text);
    case Kind::item: {
      const Value base = part(0);
      return get_item(runtime_, base, part(1));
    }
    case Kind::slice:
      return evaluate_slice(expression);
    case Kind::call:
      return evaluate_call(expression, nullptr);
    case Kind::filter:
      return evaluate_filter(expression);
    case Kind::test:
      return evaluate_test(expression);
    case Kind::captured:
      return captured_;
    case Kind::negative:
      return negative(part(0));
    case Kind::positive:
      return positive(part(0));
    case Kind::negation:
      return !part(0).truthy();
    case Kind::conjunction: {
      Value left = part(0);
      return left.truthy() ? part(1) : left;
    }
    case Kind::disjunction: {
      Value left = part(0);
      return left.truthy() ? left : part(1);
    }
    case Kind::arithmetic: {
      const Value left = part(0);
      const Value right = part(1);
      runtime_.at_line(expression.line);
      return arithmetic(runtime_, expression.operators[0], left, right);
    }
    case Kind::concatenation:
      return evaluate_concatenation(expression);
    case Kind::comparison:
      return evaluate_comparison(expression);
    default:
      return evaluate_conditional(expression);
  }
}

Value Interpreter::evaluate_name(const Expression& expression) {
  if (const Value* found = scope_->find(expression.text)) return *found;
  return Value::undefined(fmt::format("'{}' is undefined", expression.text));
}

std::vector<Value> Interpreter::evaluate_parts(const Expression& expression) {
  std::vector<Value> values;
  for (const auto& part : expression.parts) values.push_back(evaluate(*part));
  return values;
}

Value Interpreter::evaluate_dict(const Expression& expression) {
  Dict dict;
  for (std::size_t i = 0; i < expression.parts.size(); i += 2) {
    Value key = evaluate(*expression.parts[i]);
    runtime_.charge(key.weight() / 8);
    dict.set(std::move(key), evaluate(*expression.parts[i + 1]));
  }
  return Value::dict(std::move(dict));
}

Value Interpreter::evaluate_slice(const Expression& expression) {
  const Value base = evaluate(*expression.parts[0]);
  std::array<Value, 3> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (expression.parts[i + 1] != nullptr) bounds[i] = evaluate(*expression.parts[i + 1]);
  }
  return get_slice(runtime_, base, bounds);
}

Arguments Interpreter::evaluate_arguments(const CallSyntax& syntax) {
  Arguments arguments;
  for (const auto& value : syntax.positional) arguments.positional.push_back(evaluate(*value));
  if (syntax.star != nullptr) {
    for (Value& value : to_vector(runtime_, evaluate(*syntax.star))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  for (const auto& [name, value] : syntax.named) {
    arguments.named.emplace_back(name, evaluate(*value));
  }
  if (syntax.double_star != nullptr) {
    const Value mapping = evaluate(*syntax.double_star);
    if (!mapping.is_dict()) fault("the argument after ** must be a mapping");
    for (const auto& [key, value] : mapping.dict().entries()) {
      arguments.named.emplace_back(want_text(key, "a keyword"), value);
      runtime_.charge();
    }
  }
  for (std::size_t i = 1; i < arguments.named.size(); ++i) {
    const auto& name = arguments.named[i].first;
    const auto end = arguments.named.begin() + static_cast<std::ptrdiff_t>(i);
    runtime_.charge(i / 8);
    if (std::any_of(arguments.named.begin(), end, [&](const auto& a) { return a.first == name; })) {
      fault("the argument '{}' is given twice", name);
    }
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& expression, const Value* caller) {
  const Value callee = evaluate(*expression.parts[0]);
  Arguments arguments = evaluate_arguments(expression.arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  runtime_.at_line(expression.line);
  if (callee.is_undefined()) fault("{}", callee.why_undefined());
  if (!callee.is_object()) fault("'{}' object is not callable", callee.type_name());
  return callee.object().call(runtime_, arguments);
}

Value Interpreter::evaluate_filter(const Expression& expression) {
  const Value input = evaluate(*expression.parts[0]);
  const Arguments arguments = evaluate_arguments(expression.arguments);
  runtime_.at_line(expression.line);
  const Filter filter = find_filter(expression.text);
  if (filter == nullptr) fault("No filter named '{}' found.", expression.text);
  return filter(runtime_, input, arguments);
}

bool Interpreter::evaluate_test(const Expression& expression) {
  const Value value = evaluate(*expression.parts[0]);
  const Arguments arguments = evaluate_arguments(expression.arguments);
  runtime_.at_line(expression.line);
  const Test test = find_test(expression.text);
  if (test == nullptr) fault("No test named '{}' found.", expression.text);
  return test(runtime_, value, arguments);
}

Value Interpreter::evaluate_concatenation(const Expression& expression) {
  std::string text;
  for (const auto& part : expression.parts) {
    text += to_text(runtime_, evaluate(*part));
    runtime_.check_size(text.size());
  }
  return runtime_.text(std::move(text));
}

bool Interpreter::evaluate_comparison(const Expression& expression) {
  Value left = evaluate(*expression.parts[0]);
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.parts[i + 1]);
    if (!compares(runtime_, expression.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_conditional(const Expression& expression) {
  if (evaluate(*expression.parts[1]).truthy()) return evaluate(*expression.parts[0]);
  if (expression.parts[2] != nullptr) return evaluate(*expression.parts[2]);
  return Value::undefined(
      fmt::format("the inline if-expression on line {} evaluated to false and no else section was "
                  "defined.",
                  expression.line));
}

}  // namespace trireme::jinja
