// The tokens of a template with a place in them: what both halves of the parser read from.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"

namespace trireme::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& look_ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }

  Token take() {
    Token token = current();
    if (token.kind != TokenKind::end) ++position_;
    return token;
  }

  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_name(std::string_view name) const { return is(current(), TokenKind::name, name); }
  bool at_symbol(std::string_view symbol) const { return is(current(), TokenKind::symbol, symbol); }
  static bool is(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }

  bool take_name(std::string_view name) { return at_name(name) && (take(), true); }
  bool take_symbol(std::string_view symbol) { return at_symbol(symbol) && (take(), true); }

  Token expect(TokenKind kind);
  void expect_symbol(std::string_view symbol);
  void expect_name(std::string_view name);
  [[noreturn]] void refuse(std::string message) const { refuse(std::move(message), line()); }
  [[noreturn]] static void refuse(std::string message, int line) {
    throw SyntaxFault{line, std::move(message)};
  }
  /// The current token in words, for messages.
  std::string description() const;

 private:
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
};

}  // namespace trireme::jinja
