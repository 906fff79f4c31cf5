// Evaluates a syntax tree.
#pragma once

#include <memory>
#include <string>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/scope.h"

namespace trireme::jinja {

class Interpreter {
 public:
  explicit Interpreter(Runtime& runtime) : runtime_(runtime) {}

  /// The text that `body` prints with the variables of `globals`. Throws Fault.
  std::string render(const Block& body, std::shared_ptr<Scope> globals);

 private:
  /// How a statement ended: the rest of a loop's round, or of the loop, may have to be skipped.
  enum class Flow { onward, next_round, leave_loop };
  class Inner;
  class Capture;

  Flow run(const Block& body);
  Flow run(const Statement& statement);
  Flow run_condition(const Statement& statement);
  Flow run_loop(const Statement& statement);
  Flow run_assign_block(const Statement& statement);
  Flow run_filter_block(const Statement& statement);
  Flow run_with(const Statement& statement);
  void run_call_block(const Statement& statement);
  void print(const Value& value);
  void write(const std::string& text);

  /// The items of a loop that pass its test, tested as they come.
  Cursor tested(const Statement& statement, Cursor next);
  void assign(const Target& target, const Value& value);
  void unpack(const Target& target, const Value& value);
  void check_namespaces(const Target& target) const;

  Value make_macro(const MacroSyntax& macro);
  Value call_macro(const MacroSyntax& macro, std::shared_ptr<Scope> scope, Arguments& arguments);
  void bind_parameters(const MacroSyntax& macro, Arguments& arguments);

  Value evaluate(const Expression& expression);
  Value evaluate_name(const Expression& expression);
  Value evaluate_dict(const Expression& expression);
  Value evaluate_slice(const Expression& expression);
  Value evaluate_call(const Expression& expression, const Value* caller);
  Value evaluate_filter(const Expression& expression);
  bool evaluate_test(const Expression& expression);
  Value evaluate_concatenation(const Expression& expression);
  bool evaluate_comparison(const Expression& expression);
  Value evaluate_conditional(const Expression& expression);
  std::vector<Value> evaluate_parts(const Expression& expression);
  Arguments evaluate_arguments(const CallSyntax& syntax);

  Runtime& runtime_;
  std::shared_ptr<Scope> scope_;
  std::string output_;  ///< of the innermost block that is captured
  Value captured_;      ///< what the filter of a block is applied to
};

}  // namespace trireme::jinja
