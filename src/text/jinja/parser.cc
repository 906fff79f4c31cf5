#include "text/jinja/parser.h"

#include <fmt/core.h>

#include <initializer_list>

#include "text/jinja/expression_parser.h"
#include "text/jinja/limits.h"

namespace trireme::jinja {
namespace {

using Kind = StatementKind;
using StatementPtr = std::unique_ptr<Statement>;
using EndNames = std::initializer_list<std::string_view>;

/// Sets a variable for as long as a scope lasts.
template <typename T>
class Temporarily {
 public:
  Temporarily(T& variable, T value) : variable_(variable), before_(variable) { variable_ = value; }
  ~Temporarily() { variable_ = before_; }
  Temporarily(const Temporarily&) = delete;
  Temporarily& operator=(const Temporarily&) = delete;

 private:
  T& variable_;
  T before_;
};

class Parser {
 public:
  explicit Parser(std::string_view source) : stream_(tokenize(source)), expressions_(stream_) {}

  Block run() {
    Block body = statements({});
    expressions_.refuse_unknown();
    return body;
  }

 private:
  using Handler = StatementPtr (Parser::*)();
  struct Tag {
    std::string_view name;
    Handler handler;
  };

  /// Up to a tag of one of these names (its name is then the current token), or to the end.
  Block statements(EndNames end_names) {
    const Temporarily deeper(depth_, depth_ + 1);
    if (depth_ > max_syntax_depth) stream_.refuse("the blocks nest too deeply");
    Block body;
    while (!stream_.at(TokenKind::end)) {
      if (stream_.at(TokenKind::block_begin)) {
        stream_.take();
        for (const std::string_view name : end_names) {
          if (stream_.at_name(name)) return body;
        }
        body.push_back(statement());
        stream_.expect(TokenKind::block_end);
      } else {
        body.push_back(output());
      }
    }
    if (end_names.size() != 0) {
      stream_.refuse(fmt::format("the template ends where '{}' is missing", *end_names.begin()));
    }
    return body;
  }

  StatementPtr output() {
    auto node = make(Kind::text);
    if (stream_.at(TokenKind::text)) {
      node->text = stream_.take().text;
      return node;
    }
    node->kind = Kind::output;
    stream_.expect(TokenKind::variable_begin);
    node->value = expressions_.tuple();
    stream_.expect(TokenKind::variable_end);
    return node;
  }

  StatementPtr make(Kind kind) const {
    return std::make_unique<Statement>(Statement{kind, stream_.line()});
  }

  StatementPtr statement() {
    static constexpr Tag tags[] = {
        {"if", &Parser::condition},     {"for", &Parser::loop},
        {"set", &Parser::assignment},   {"macro", &Parser::macro},
        {"call", &Parser::call_block},  {"filter", &Parser::filter_block},
        {"with", &Parser::with},        {"generation", &Parser::generation},
        {"break", &Parser::leave_loop}, {"continue", &Parser::next_round},
    };
    if (!stream_.at(TokenKind::name)) stream_.refuse("expected the name of a tag");
    for (const Tag& tag : tags) {
      if (stream_.at_name(tag.name)) return (this->*tag.handler)();
    }
    stream_.refuse(fmt::format("unknown or misplaced tag '{}'", stream_.current().text));
  }

  /// The body after a tag's `%}`, up to the tag `end_name`, which is taken too.
  Block body(std::string_view end_name) {
    const Temporarily strict(expressions_.tolerates_unknown, false);
    return body_as_is({end_name}, true);
  }

  Block body_as_is(EndNames end_names, bool take_end) {
    stream_.take_symbol(":");
    stream_.expect(TokenKind::block_end);
    Block result = statements(end_names);
    if (take_end) stream_.take();
    return result;
  }

  StatementPtr condition() {
    const Temporarily tolerant(expressions_.tolerates_unknown, true);
    StatementPtr node = make(Kind::condition);
    stream_.take();
    while (true) {
      ExpressionPtr test = expressions_.tuple(false);
      Block taken = body_as_is({"endif", "elif", "else"}, false);
      node->branches.emplace_back(std::move(test), std::move(taken));
      if (stream_.take_name("elif")) continue;
      if (stream_.take_name("else")) {
        node->branches.emplace_back(nullptr, body_as_is({"endif"}, true));
      } else {
        stream_.take();
      }
      return node;
    }
  }

  StatementPtr loop() {
    StatementPtr node = make(Kind::loop);
    stream_.take();
    const Temporarily inside(for_depth_, for_depth_ + 1);
    node->target = target(false, "in");
    stream_.expect_name("in");
    node->value = expressions_.tuple(false, "recursive");
    const Temporarily strict(expressions_.tolerates_unknown, false);
    if (stream_.take_name("if")) node->test = expressions_.expression();
    if (stream_.at_name("recursive")) stream_.refuse("recursive loops are not supported");
    {
      const Temporarily breakable(breakable_, true);
      node->body = body_as_is({"endfor", "else"}, false);
    }
    if (stream_.take().text == "else") node->otherwise = body("endfor");
    return node;
  }

  StatementPtr assignment() {
    StatementPtr node = make(Kind::assign);
    stream_.take();
    node->target = target(true, "");
    if (stream_.take_symbol("=")) {
      node->value = expressions_.tuple();
      return node;
    }
    node->kind = Kind::assign_block;
    node->value = expressions_.block_filters(false);
    node->body = body("endset");
    return node;
  }

  /// What is assigned to, up to `=`, the end of the tag, or the name `end_name`.
  Target target(bool with_namespace, std::string_view end_name) {
    const Temporarily deeper(depth_, depth_ + 1);
    if (depth_ > max_syntax_depth) stream_.refuse("the target nests too deeply");
    Target tuple;
    const auto at_end = [&] {
      return stream_.at(TokenKind::block_end) || stream_.at_symbol(")") ||
             (!end_name.empty() && stream_.at_name(end_name));
    };
    while (!at_end()) {
      tuple.parts.push_back(single_target(with_namespace));
      if (!stream_.take_symbol(",")) break;
      tuple.is_tuple = true;
    }
    if (tuple.parts.empty()) stream_.refuse("expected what to assign to");
    if (tuple.is_tuple) return tuple;
    Target only = std::move(tuple.parts.front());
    return only;
  }

  Target single_target(bool with_namespace) {
    if (stream_.take_symbol("(")) {
      Target inner = target(with_namespace, "");
      stream_.expect_symbol(")");
      return inner;
    }
    if (!stream_.at(TokenKind::name)) {
      stream_.refuse(fmt::format("can't assign to {}", stream_.description()));
    }
    Target result;
    result.name = stream_.take().text;
    for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (result.name == reserved) stream_.refuse(fmt::format("can't assign to '{}'", reserved));
    }
    if (with_namespace && stream_.take_symbol(".")) {
      result.attribute = stream_.expect(TokenKind::name).text;
    } else if (for_depth_ > 0 && result.name == "loop") {
      stream_.refuse("can't assign to the special variable 'loop' within a loop");
    }
    return result;
  }

  StatementPtr macro() {
    StatementPtr node = make(Kind::macro);
    stream_.take();
    node->macro = std::make_unique<MacroSyntax>();
    node->macro->name = stream_.expect(TokenKind::name).text;
    parameters(*node->macro);
    macro_body(*node->macro, "endmacro");
    return node;
  }

  void parameters(MacroSyntax& macro) {
    stream_.expect_symbol("(");
    while (!stream_.at_symbol(")")) {
      MacroParameter parameter{stream_.expect(TokenKind::name).text, nullptr};
      if (stream_.take_symbol("=")) {
        parameter.otherwise = expressions_.expression();
      } else if (!macro.parameters.empty() && macro.parameters.back().otherwise) {
        stream_.refuse("a parameter without a default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
      if (!stream_.take_symbol(",")) break;
    }
    stream_.expect_symbol(")");
  }

  /// A macro is a function of its own: no break leaves it, and its names are its own.
  void macro_body(MacroSyntax& macro, std::string_view end_name) {
    const Temporarily unbreakable(breakable_, false);
    const NameUse outer = expressions_.names;
    expressions_.names = NameUse();
    macro.body = body(end_name);
    const NameUse used = expressions_.names;
    const auto is_parameter = [&](std::string_view name) {
      for (const MacroParameter& parameter : macro.parameters) {
        if (parameter.name == name) return true;
      }
      return false;
    };
    macro.uses_caller = used.caller && !is_parameter("caller");
    macro.uses_varargs = used.varargs && !is_parameter("varargs");
    macro.uses_kwargs = used.kwargs && !is_parameter("kwargs");
    expressions_.names.caller |= outer.caller;
    expressions_.names.varargs |= outer.varargs;
    expressions_.names.kwargs |= outer.kwargs;
  }

  StatementPtr call_block() {
    StatementPtr node = make(Kind::call_block);
    stream_.take();
    node->macro = std::make_unique<MacroSyntax>();
    node->macro->name = "caller";
    if (stream_.at_symbol("(")) parameters(*node->macro);
    node->value = expressions_.expression();
    if (node->value->kind != ExpressionKind::call) stream_.refuse("expected a call");
    macro_body(*node->macro, "endcall");
    return node;
  }

  StatementPtr generation() {
    StatementPtr node = make(Kind::generation);
    stream_.take();
    node->macro = std::make_unique<MacroSyntax>();
    macro_body(*node->macro, "endgeneration");
    return node;
  }

  StatementPtr filter_block() {
    StatementPtr node = make(Kind::filter_block);
    stream_.take();
    const Temporarily strict(expressions_.tolerates_unknown, false);
    node->value = expressions_.block_filters(true);
    node->body = body("endfilter");
    return node;
  }

  StatementPtr with() {
    StatementPtr node = make(Kind::with);
    stream_.take();
    while (!stream_.at(TokenKind::block_end)) {
      Target name = single_target(false);
      stream_.expect_symbol("=");
      node->bindings.emplace_back(std::move(name), expressions_.expression());
      if (!stream_.take_symbol(",")) break;
    }
    node->body = body("endwith");
    return node;
  }

  StatementPtr leave_loop() { return jump(Kind::leave_loop); }
  StatementPtr next_round() { return jump(Kind::next_round); }
  StatementPtr jump(Kind kind) {
    StatementPtr node = make(kind);
    if (!breakable_) stream_.refuse("break and continue stand only within a loop");
    stream_.take();
    return node;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int for_depth_ = 0;       ///< loops around here, macros notwithstanding
  bool breakable_ = false;  ///< whether break and continue have a loop to act on
};

}  // namespace

Block parse(std::string_view source) { return Parser(source).run(); }

}  // namespace trireme::jinja
