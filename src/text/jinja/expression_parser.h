// Parses expressions, by Jinja2's precedence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

namespace trireme::jinja {

/// What the statement parser must know about the names that expressions mention.
struct NameUse {
  bool caller = false;
  bool varargs = false;
  bool kwargs = false;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExpressionPtr expression(bool with_conditional = true);
  /// One expression, or several with commas: a tuple. `end_name` is a keyword that ends it.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view end_name = "",
                      bool in_parentheses = false);
  /// The filters from a `|` on, applied to the text of a block; null if there are none.
  ExpressionPtr block_filters(bool first_without_pipe);

  /// Gathers since it was last reset.
  NameUse names;
  /// Directly within an if, an unknown filter or test is an error only when it is reached ...
  bool tolerates_unknown = false;
  /// ... elsewhere when the template is read: this throws the first of them.
  void refuse_unknown() const;

 private:
  class Nesting;

  ExpressionPtr conditional();
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filter = true);
  ExpressionPtr primary();
  ExpressionPtr name();
  ExpressionPtr string();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr base);
  ExpressionPtr filters_and_tests(ExpressionPtr base);
  ExpressionPtr attribute(ExpressionPtr base);
  ExpressionPtr subscript(ExpressionPtr base);
  ExpressionPtr call(ExpressionPtr base);
  ExpressionPtr filter(ExpressionPtr base);
  ExpressionPtr test(ExpressionPtr base);
  CallSyntax call_arguments();
  void call_argument(CallSyntax& arguments, int line);
  std::string dotted_name();
  bool at_test_argument() const;
  ExpressionPtr binary(ExpressionKind kind, ExpressionPtr left, ExpressionPtr right);
  ExpressionPtr make(ExpressionKind kind, int line, std::vector<ExpressionPtr> parts = {},
                     std::string text = {});
  /// Sets the depth and refuses what is too deep.
  ExpressionPtr finish(ExpressionPtr node) const;
  void note_unknown(bool known, std::string_view what, const Expression& node);

  TokenStream& stream_;
  int nesting_ = 0;
  std::vector<SyntaxFault> unknown_;
};

}  // namespace trireme::jinja
