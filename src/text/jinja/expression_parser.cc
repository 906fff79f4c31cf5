#include "text/jinja/expression_parser.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/limits.h"
#include "text/jinja/tests.h"

namespace trireme::jinja {
namespace {

using Kind = ExpressionKind;

struct Symbol {
  std::string_view text;
  Operator meaning;
};
constexpr Symbol comparisons[] = {{"==", Operator::equal},  {"!=", Operator::unequal},
                                  {"<", Operator::less},    {"<=", Operator::less_equal},
                                  {">", Operator::greater}, {">=", Operator::greater_equal}};
constexpr Symbol sums[] = {{"+", Operator::add}, {"-", Operator::subtract}};
constexpr Symbol products[] = {{"*", Operator::multiply},
                               {"/", Operator::divide},
                               {"//", Operator::floor_divide},
                               {"%", Operator::modulo}};

template <std::size_t N>
const Operator* take_any(TokenStream& stream, const Symbol (&symbols)[N]) {
  for (const Symbol& symbol : symbols) {
    if (stream.take_symbol(symbol.text)) return &symbol.meaning;
  }
  return nullptr;
}

}  // namespace

/// One level of brackets or prefix operators: the parser's own recursion.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.nesting_ > max_syntax_depth) {
      --parser_.nesting_;
      parser_.stream_.refuse("the expression nests too deeply");
    }
  }
  ~Nesting() { --parser_.nesting_; }

 private:
  ExpressionParser& parser_;
};

ExpressionPtr ExpressionParser::finish(ExpressionPtr node) const {
  const auto add = [&](const ExpressionPtr& part) {
    if (part != nullptr) node->depth = std::max(node->depth, part->depth + 1);
  };
  std::for_each(node->parts.begin(), node->parts.end(), add);
  std::for_each(node->arguments.positional.begin(), node->arguments.positional.end(), add);
  for (const auto& [name, value] : node->arguments.named) add(value);
  add(node->arguments.star);
  add(node->arguments.double_star);
  if (node->depth > max_syntax_depth) {
    TokenStream::refuse("the expression nests too deeply", node->line);
  }
  return node;
}

ExpressionPtr ExpressionParser::make(Kind kind, int line, std::vector<ExpressionPtr> parts,
                                     std::string text) {
  auto node = std::make_unique<Expression>(Expression{kind, line});
  node->parts = std::move(parts);
  node->text = std::move(text);
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::binary(Kind kind, ExpressionPtr left, ExpressionPtr right) {
  const int line = left->line;
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(left));
  parts.push_back(std::move(right));
  return make(kind, line, std::move(parts));
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const Nesting level(*this);
  return with_conditional ? conditional() : disjunction();
}

ExpressionPtr ExpressionParser::conditional() {
  const Nesting level(*this);
  const std::size_t unknown_before = unknown_.size();
  ExpressionPtr value = disjunction();
  while (stream_.take_name("if")) {
    value = binary(Kind::conditional, std::move(value), disjunction());
    value->parts.push_back(stream_.take_name("else") ? conditional() : nullptr);
    value = finish(std::move(value));
    unknown_.resize(unknown_before);
  }
  return value;
}

void ExpressionParser::note_unknown(bool known, std::string_view what, const Expression& node) {
  if (known || tolerates_unknown) return;
  unknown_.push_back({node.line, fmt::format("No {} named '{}'", what, node.text)});
}

void ExpressionParser::refuse_unknown() const {
  if (!unknown_.empty()) throw unknown_.front();
}

ExpressionPtr ExpressionParser::disjunction() {
  ExpressionPtr left = conjunction();
  while (stream_.take_name("or")) left = binary(Kind::disjunction, std::move(left), conjunction());
  return left;
}

ExpressionPtr ExpressionParser::conjunction() {
  ExpressionPtr left = negation();
  while (stream_.take_name("and")) left = binary(Kind::conjunction, std::move(left), negation());
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  const Nesting level(*this);
  const int line = stream_.line();
  if (!stream_.take_name("not")) return comparison();
  std::vector<ExpressionPtr> parts;
  parts.push_back(negation());
  return make(Kind::negation, line, std::move(parts));
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr first = sum();
  auto node = std::make_unique<Expression>(Expression{Kind::comparison, first->line});
  while (true) {
    if (const Operator* meaning = take_any(stream_, comparisons)) {
      node->operators.push_back(*meaning);
    } else if (stream_.take_name("in")) {
      node->operators.push_back(Operator::in);
    } else if (stream_.at_name("not") &&
               TokenStream::is(stream_.look_ahead(), TokenKind::name, "in")) {
      stream_.take();
      stream_.take();
      node->operators.push_back(Operator::not_in);
    } else {
      break;
    }
    node->parts.push_back(sum());
  }
  if (node->operators.empty()) return first;
  node->parts.insert(node->parts.begin(), std::move(first));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (const Operator* meaning = take_any(stream_, sums)) {
    left = binary(Kind::arithmetic, std::move(left), concatenation());
    left->operators.push_back(*meaning);
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr first = product();
  if (!stream_.at_symbol("~")) return first;
  const int line = first->line;
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(first));
  while (stream_.take_symbol("~")) parts.push_back(product());
  return make(Kind::concatenation, line, std::move(parts));
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (const Operator* meaning = take_any(stream_, products)) {
    left = binary(Kind::arithmetic, std::move(left), power());
    left->operators.push_back(*meaning);
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary();
  while (stream_.take_symbol("**")) {
    left = binary(Kind::arithmetic, std::move(left), unary());
    left->operators.push_back(Operator::power);
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filter) {
  const Nesting level(*this);
  const int line = stream_.line();
  ExpressionPtr node;
  if (stream_.at_symbol("-") || stream_.at_symbol("+")) {
    const Kind kind = stream_.take().text == "-" ? Kind::negative : Kind::positive;
    std::vector<ExpressionPtr> parts;
    parts.push_back(unary(false));
    node = make(kind, line, std::move(parts));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary() {
  const int line = stream_.line();
  if (stream_.at(TokenKind::name)) return name();
  if (stream_.at(TokenKind::string)) return string();
  if (stream_.at(TokenKind::number)) {
    ExpressionPtr node = make(Kind::constant, line);
    node->constant = stream_.take().number;
    return node;
  }
  if (stream_.take_symbol("(")) {
    ExpressionPtr node = tuple(true, "", true);
    stream_.expect_symbol(")");
    return node;
  }
  if (stream_.at_symbol("[")) return list();
  if (stream_.at_symbol("{")) return dict();
  stream_.refuse(fmt::format("unexpected {}", stream_.description()));
}

ExpressionPtr ExpressionParser::name() {
  const Token token = stream_.take();
  ExpressionPtr node = make(Kind::constant, token.line);
  if (token.text == "true" || token.text == "True") {
    node->constant = Value(true);
  } else if (token.text == "false" || token.text == "False") {
    node->constant = Value(false);
  } else if (token.text != "none" && token.text != "None") {
    names.caller |= token.text == "caller";
    names.varargs |= token.text == "varargs";
    names.kwargs |= token.text == "kwargs";
    node->kind = Kind::name;
    node->text = token.text;
  }
  return node;
}

ExpressionPtr ExpressionParser::string() {
  ExpressionPtr node = make(Kind::constant, stream_.line());
  std::string text;
  while (stream_.at(TokenKind::string)) text += stream_.take().text;
  node->constant = Value(std::move(text));
  return node;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view end_name,
                                      bool in_parentheses) {
  const int line = stream_.line();
  const auto at_end = [&] {
    return stream_.at(TokenKind::variable_end) || stream_.at(TokenKind::block_end) ||
           stream_.at_symbol(")") || (!end_name.empty() && stream_.at_name(end_name));
  };
  std::vector<ExpressionPtr> parts;
  bool comma = false;
  while (!at_end()) {
    parts.push_back(expression(with_conditional));
    if (!stream_.take_symbol(",")) {
      if (!comma) return std::move(parts.front());
      break;
    }
    comma = true;
  }
  if (parts.empty() && !in_parentheses) {
    stream_.refuse(fmt::format("expected an expression, got {}", stream_.description()));
  }
  return make(Kind::tuple, line, std::move(parts));
}

ExpressionPtr ExpressionParser::list() {
  const int line = stream_.line();
  stream_.expect_symbol("[");
  std::vector<ExpressionPtr> parts;
  while (!stream_.at_symbol("]")) {
    parts.push_back(expression());
    if (!stream_.take_symbol(",")) break;
  }
  stream_.expect_symbol("]");
  return make(Kind::list, line, std::move(parts));
}

ExpressionPtr ExpressionParser::dict() {
  const int line = stream_.line();
  stream_.expect_symbol("{");
  std::vector<ExpressionPtr> parts;
  while (!stream_.at_symbol("}")) {
    parts.push_back(expression());
    stream_.expect_symbol(":");
    parts.push_back(expression());
    if (!stream_.take_symbol(",")) break;
  }
  stream_.expect_symbol("}");
  return make(Kind::dict, line, std::move(parts));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr base) {
  while (true) {
    if (stream_.at_symbol(".")) {
      base = attribute(std::move(base));
    } else if (stream_.at_symbol("[")) {
      base = subscript(std::move(base));
    } else if (stream_.at_symbol("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr base) {
  while (true) {
    if (stream_.take_symbol("|")) {
      base = filter(std::move(base));
    } else if (stream_.take_name("is")) {
      base = test(std::move(base));
    } else if (stream_.at_symbol("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr base) {
  const int line = stream_.line();
  stream_.expect_symbol(".");
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(base));
  if (stream_.at(TokenKind::name)) {
    return make(Kind::attribute, line, std::move(parts), stream_.take().text);
  }
  if (!stream_.at(TokenKind::number) || !stream_.current().number.is_integer()) {
    stream_.refuse("expected a name or a number after '.'");
  }
  parts.push_back(primary());
  return make(Kind::item, line, std::move(parts));
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr base) {
  const int line = stream_.line();
  stream_.expect_symbol("[");
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(base));
  const auto bound = [&] {
    const bool left_out = stream_.at_symbol(":") || stream_.at_symbol("]");
    parts.push_back(left_out ? nullptr : expression());
  };
  bound();
  const bool is_slice = stream_.take_symbol(":");
  if (is_slice) {
    bound();
    stream_.take_symbol(":");
    bound();
  } else if (parts.back() == nullptr) {
    stream_.refuse("expected a subscript");
  } else if (stream_.take_symbol(",")) {
    ExpressionPtr index = make(Kind::tuple, line);
    index->parts.push_back(std::move(parts.back()));
    while (!stream_.at_symbol("]")) {
      index->parts.push_back(expression());
      if (!stream_.take_symbol(",")) break;
    }
    parts.back() = finish(std::move(index));
  }
  stream_.expect_symbol("]");
  return make(is_slice ? Kind::slice : Kind::item, line, std::move(parts));
}

ExpressionPtr ExpressionParser::call(ExpressionPtr base) {
  auto node = std::make_unique<Expression>(Expression{Kind::call, stream_.line()});
  node->parts.push_back(std::move(base));
  node->arguments = call_arguments();
  return finish(std::move(node));
}

CallSyntax ExpressionParser::call_arguments() {
  const int line = stream_.line();
  CallSyntax arguments;
  stream_.expect_symbol("(");
  while (!stream_.at_symbol(")")) {
    call_argument(arguments, line);
    if (!stream_.take_symbol(",")) break;
  }
  stream_.expect_symbol(")");
  return arguments;
}

void ExpressionParser::call_argument(CallSyntax& arguments, int line) {
  const auto ensure = [&](bool in_order) {
    if (!in_order) TokenStream::refuse("the arguments of a call are in a wrong order", line);
  };
  if (stream_.take_symbol("*")) {
    ensure(!arguments.star && !arguments.double_star);
    arguments.star = expression();
  } else if (stream_.take_symbol("**")) {
    ensure(!arguments.double_star);
    arguments.double_star = expression();
  } else if (stream_.at(TokenKind::name) &&
             TokenStream::is(stream_.look_ahead(), TokenKind::symbol, "=")) {
    ensure(!arguments.double_star);
    std::string name = stream_.take().text;
    stream_.take();
    arguments.named.emplace_back(std::move(name), expression());
  } else {
    ensure(!arguments.star && !arguments.double_star && arguments.named.empty());
    arguments.positional.push_back(expression());
  }
}

std::string ExpressionParser::dotted_name() {
  std::string name = stream_.expect(TokenKind::name).text;
  while (stream_.take_symbol(".")) name += "." + stream_.expect(TokenKind::name).text;
  return name;
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr base) {
  auto node = std::make_unique<Expression>(Expression{Kind::filter, stream_.line()});
  node->text = dotted_name();
  note_unknown(find_filter(node->text) != nullptr, "filter", *node);
  node->parts.push_back(std::move(base));
  if (stream_.at_symbol("(")) node->arguments = call_arguments();
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::block_filters(bool first_without_pipe) {
  if (!first_without_pipe && !stream_.at_symbol("|")) return nullptr;
  ExpressionPtr node = make(Kind::captured, stream_.line());
  if (first_without_pipe) node = filter(std::move(node));
  while (stream_.take_symbol("|")) node = filter(std::move(node));
  return node;
}

bool ExpressionParser::at_test_argument() const {
  if (stream_.at(TokenKind::name)) {
    return !stream_.at_name("else") && !stream_.at_name("or") && !stream_.at_name("and");
  }
  return stream_.at(TokenKind::string) || stream_.at(TokenKind::number) || stream_.at_symbol("[") ||
         stream_.at_symbol("{");
}

ExpressionPtr ExpressionParser::test(ExpressionPtr base) {
  auto node = std::make_unique<Expression>(Expression{Kind::test, stream_.line()});
  const bool negated = stream_.take_name("not");
  node->text = dotted_name();
  note_unknown(find_test(node->text) != nullptr, "test", *node);
  node->parts.push_back(std::move(base));
  if (stream_.at_symbol("(")) {
    node->arguments = call_arguments();
  } else if (at_test_argument()) {
    if (stream_.at_name("is")) stream_.refuse("you cannot chain multiple tests with is");
    node->arguments.positional.push_back(postfix(primary()));
  }
  node = finish(std::move(node));
  if (!negated) return node;
  const int line = node->line;
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(node));
  return make(Kind::negation, line, std::move(parts));
}

}  // namespace trireme::jinja
