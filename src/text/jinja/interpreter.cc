// Statements; evaluate.cc has the expressions.
#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/interpreter_scopes.h"
#include "text/jinja/loop.h"
#include "text/jinja/objects.h"
#include "text/jinja/print.h"

namespace trireme::jinja {

using Kind = StatementKind;

std::string Interpreter::render(const Block& body, std::shared_ptr<Scope> globals) {
  scope_ = std::move(globals);
  run(body);
  return std::move(output_);
}

void Interpreter::write(const std::string& text) {
  runtime_.check_size(output_.size() + text.size());
  runtime_.charge(text.size() / 16);
  output_ += text;
}

void Interpreter::print(const Value& value) {
  value.is_string() ? write(value.text()) : write(to_text(runtime_, value));
}

Interpreter::Flow Interpreter::run(const Block& body) {
  for (const auto& statement : body) {
    const Flow flow = run(*statement);
    if (flow != Flow::onward) return flow;
  }
  return Flow::onward;
}

Interpreter::Flow Interpreter::run(const Statement& statement) {
  const Runtime::Level level(runtime_);
  runtime_.charge();
  runtime_.at_line(statement.line);
  switch (statement.kind) {
    case Kind::text:
      write(statement.text);
      return Flow::onward;
    case Kind::output:
      print(evaluate(*statement.value));
      return Flow::onward;
    case Kind::assign:
      check_namespaces(statement.target);
      assign(statement.target, evaluate(*statement.value));
      return Flow::onward;
    case Kind::assign_block:
      return run_assign_block(statement);
    case Kind::condition:
      return run_condition(statement);
    case Kind::loop:
      return run_loop(statement);
    case Kind::macro:
      scope_->set(statement.macro->name, make_macro(*statement.macro));
      return Flow::onward;
    case Kind::call_block:
      run_call_block(statement);
      return Flow::onward;
    case Kind::filter_block:
      return run_filter_block(statement);
    case Kind::with:
      return run_with(statement);
    case Kind::generation: {
      const Inner scope(*this);
      return run(statement.macro->body);
    }
    case Kind::leave_loop:
      return Flow::leave_loop;
    default:
      return Flow::next_round;
  }
}

Interpreter::Flow Interpreter::run_condition(const Statement& statement) {
  for (const auto& [test, body] : statement.branches) {
    if (test == nullptr || evaluate(*test).truthy()) return run(body);
  }
  return Flow::onward;
}

Cursor Interpreter::tested(const Statement& statement, Cursor next) {
  return [this, &statement, outer = scope_, next = std::move(next)]() -> std::optional<Value> {
    while (auto item = next()) {
      const Inner scope(*this, outer);
      assign(statement.target, *item);
      runtime_.charge();
      if (evaluate(*statement.test).truthy()) return item;
    }
    return std::nullopt;
  };
}

Interpreter::Flow Interpreter::run_loop(const Statement& statement) {
  const Value iterable = evaluate(*statement.value);
  Cursor next = iterate(iterable);
  std::optional<std::size_t> size;
  if (statement.test != nullptr) {
    next = tested(statement, std::move(next));
  } else if (!iterable.is_object() || iterable.object().length()) {
    size = length(iterable);
  }
  const auto loop = std::make_shared<Loop>(runtime_, std::move(next), size, iterable.depth() + 1);
  // As in Jinja2, only a round that runs to its end keeps the else branch from running.
  bool completed = false;
  while (const auto item = loop->advance()) {
    runtime_.charge(4);
    const Inner scope(*this);
    scope_->set("loop", Value(std::shared_ptr<Object>(loop)));
    assign(statement.target, *item);
    const Flow flow = run(statement.body);
    completed = completed || flow == Flow::onward;
    if (flow == Flow::leave_loop) break;
  }
  if (completed) return Flow::onward;
  const Inner scope(*this);
  return run(statement.otherwise);
}

Interpreter::Flow Interpreter::run_assign_block(const Statement& statement) {
  Value value;
  {
    const Inner scope(*this);
    Capture capture(*this);
    const Flow flow = run(statement.body);
    if (flow != Flow::onward) return flow;
    value = runtime_.text(capture.take());
    if (statement.value != nullptr) {
      std::swap(captured_, value);
      Value filtered = evaluate(*statement.value);
      captured_ = std::exchange(value, std::move(filtered));
    }
  }
  check_namespaces(statement.target);
  assign(statement.target, value);
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_filter_block(const Statement& statement) {
  const Inner scope(*this);
  Value text;
  {
    Capture capture(*this);
    const Flow flow = run(statement.body);
    if (flow != Flow::onward) return flow;
    text = runtime_.text(capture.take());
  }
  std::swap(captured_, text);
  const Value filtered = evaluate(*statement.value);
  captured_ = std::move(text);
  print(filtered);
  return Flow::onward;
}

Interpreter::Flow Interpreter::run_with(const Statement& statement) {
  std::vector<Value> values;
  for (const auto& [target, value] : statement.bindings) values.push_back(evaluate(*value));
  const Inner scope(*this);
  for (std::size_t i = 0; i < values.size(); ++i) {
    assign(statement.bindings[i].first, values[i]);
  }
  return run(statement.body);
}

void Interpreter::run_call_block(const Statement& statement) {
  const Value caller = make_macro(*statement.macro);
  print(evaluate_call(*statement.value, &caller));
}

void Interpreter::check_namespaces(const Target& target) const {
  for (const Target& part : target.parts) check_namespaces(part);
  if (target.attribute.empty()) return;
  const Value* value = scope_->find(target.name);
  const bool is_namespace = value != nullptr && value->is_object() &&
                            dynamic_cast<Namespace*>(&value->object()) != nullptr;
  if (!is_namespace) fault("cannot assign attribute on non-namespace object '{}'", target.name);
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (target.is_tuple) return unpack(target, value);
  if (target.attribute.empty()) return scope_->set(target.name, value);
  check_namespaces(target);
  dynamic_cast<Namespace&>(scope_->find(target.name)->object()).set(target.attribute, value);
}

void Interpreter::unpack(const Target& target, const Value& value) {
  const Cursor next = iterate(value);
  std::vector<Value> items;
  while (auto item = next()) {
    if (items.size() == target.parts.size()) {
      fault("too many values to unpack (expected {})", target.parts.size());
    }
    items.push_back(*std::move(item));
  }
  if (items.size() < target.parts.size()) {
    fault("not enough values to unpack (expected {}, got {})", target.parts.size(), items.size());
  }
  for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
}

Value Interpreter::make_macro(const MacroSyntax& macro) {
  runtime_.charge(8);
  runtime_.empty_at_end([scope = scope_] { scope->clear(); });
  return function(fmt::format("<Macro '{}'>", macro.name),
                  [this, &macro, scope = scope_](Runtime&, Arguments& arguments) {
                    return call_macro(macro, scope, arguments);
                  });
}

Value Interpreter::call_macro(const MacroSyntax& macro, std::shared_ptr<Scope> scope,
                              Arguments& arguments) {
  const int line = runtime_.line();
  const Inner inner(*this, std::move(scope));
  Capture capture(*this);
  bind_parameters(macro, arguments);
  run(macro.body);
  runtime_.at_line(line);
  return runtime_.text(capture.take());
}

void Interpreter::bind_parameters(const MacroSyntax& macro, Arguments& arguments) {
  const std::size_t given = std::min(arguments.positional.size(), macro.parameters.size());
  std::vector<std::optional<Value>> values(macro.parameters.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i < given ? arguments.positional[i] : arguments.take(macro.parameters[i].name);
  }
  if (macro.uses_caller) {
    scope_->set("caller", arguments.take("caller").value_or(Value::undefined("No caller defined")));
  }
  if (macro.uses_kwargs) {
    Dict rest;
    for (auto& [name, value] : arguments.named) rest.set(Value(name), std::move(value));
    scope_->set("kwargs", Value::dict(std::move(rest)));
  } else if (!arguments.named.empty()) {
    fault("macro '{}' takes no keyword argument '{}'", macro.name, arguments.named[0].first);
  }
  if (macro.uses_varargs) {
    scope_->set("varargs",
                Value::tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(given),
                              arguments.positional.end()}));
  } else if (arguments.positional.size() > given) {
    fault("macro '{}' takes not more than {} argument(s)", macro.name, macro.parameters.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const MacroParameter& parameter = macro.parameters[i];
    if (!values[i]) {
      values[i] =
          parameter.otherwise != nullptr
              ? evaluate(*parameter.otherwise)
              : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name));
    }
    scope_->set(parameter.name, *std::move(values[i]));
  }
}

}  // namespace trireme::jinja
