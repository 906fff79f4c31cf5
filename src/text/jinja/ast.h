// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace trireme::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// What stands between the parentheses of a call, a filter or a test.
struct CallSyntax {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         ///< *sequence
  ExpressionPtr double_star;  ///< **mapping
};

enum class Operator {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

/// Which fields of Expression hold what is said beside each kind.
enum class ExpressionKind {
  constant,       // constant
  name,           // text
  list,           // parts
  tuple,          // parts
  dict,           // parts: key, value, key, value ...
  attribute,      // parts[0] . text
  item,           // parts[0] [ parts[1] ]
  slice,          // parts[0] [ parts[1] : parts[2] : parts[3] ], null when left out
  call,           // parts[0] ( arguments )
  filter,         // parts[0] | text ( arguments )
  test,           // parts[0] is text ( arguments )
  captured,       // the text of the block that a filter is applied to
  negative,       // - parts[0]
  positive,       // + parts[0]
  negation,       // not parts[0]
  conjunction,    // parts[0] and parts[1]
  disjunction,    // parts[0] or parts[1]
  arithmetic,     // parts[0] operators[0] parts[1]
  concatenation,  // parts[0] ~ parts[1] ~ ...
  comparison,     // parts[0] operators[0] parts[1] operators[1] parts[2] ...
  conditional,    // parts[0] if parts[1] else parts[2], null when left out
};

struct Expression {
  ExpressionKind kind;
  int line = 0;
  int depth = 1;  ///< of the tree below, itself included: bounded, so that recursion over it is
  std::string text = {};
  Value constant = {};
  std::vector<ExpressionPtr> parts = {};
  std::vector<Operator> operators = {};
  CallSyntax arguments = {};
};

/// What a value is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;      ///< of the namespace `name`, if any
  std::vector<Target> parts;  ///< of a tuple
  bool is_tuple = false;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

struct MacroParameter {
  std::string name;
  ExpressionPtr otherwise;  ///< null when there is no default
};

/// A macro, the body of a call block, or of a generation block.
struct MacroSyntax {
  std::string name;
  std::vector<MacroParameter> parameters;
  bool uses_caller = false;  ///< the body mentions the name: only then is it bound
  bool uses_varargs = false;
  bool uses_kwargs = false;
  Block body;
};

enum class StatementKind {
  text,          // text
  output,        // value
  assign,        // target = value
  assign_block,  // target = body, through the filter in value if not null
  condition,     // branches: (test, body); the else branch has a null test
  loop,          // for target in value if test: body else otherwise
  macro,         // macro
  call_block,    // value is the call; macro is what caller() runs
  filter_block,  // value applied to body
  with,          // bindings: target, value; body
  generation,    // macro.body
  leave_loop,    // break
  next_round,    // continue
};

struct Statement {
  StatementKind kind;
  int line = 0;
  std::string text = {};
  Target target = {};
  ExpressionPtr value = {};
  ExpressionPtr test = {};
  Block body = {};
  Block otherwise = {};
  std::vector<std::pair<ExpressionPtr, Block>> branches = {};
  std::vector<std::pair<Target, ExpressionPtr>> bindings = {};
  std::unique_ptr<MacroSyntax> macro = {};
};

}  // namespace trireme::jinja
