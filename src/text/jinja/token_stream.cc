#include "text/jinja/token_stream.h"

#include <fmt/core.h>

namespace trireme::jinja {
namespace {

std::string describe(TokenKind kind, const std::string& text) {
  switch (kind) {
    case TokenKind::text:
      return "text";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::variable_begin:
      return "'{{'";
    case TokenKind::variable_end:
      return "'}}'";
    case TokenKind::end:
      return "the end of the template";
    case TokenKind::string:
      return "a string";
    case TokenKind::number:
      return text.empty() ? "a number" : "the number " + text;
    default:
      return text.empty() ? "a name" : "'" + text + "'";
  }
}

}  // namespace

std::string TokenStream::description() const { return describe(current().kind, current().text); }

Token TokenStream::expect(TokenKind kind) {
  if (!at(kind)) refuse(fmt::format("expected {}, got {}", describe(kind, ""), description()));
  return take();
}

void TokenStream::expect_symbol(std::string_view symbol) {
  if (!take_symbol(symbol)) refuse(fmt::format("expected '{}', got {}", symbol, description()));
}

void TokenStream::expect_name(std::string_view name) {
  if (!take_name(name)) refuse(fmt::format("expected '{}', got {}", name, description()));
}

}  // namespace trireme::jinja
