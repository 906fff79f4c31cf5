// Splits a template into text and tokens, with Jinja2's white space rules for trim_blocks and
// lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace trireme::jinja {

enum class TokenKind {
  text,            ///< what is printed as it stands
  block_begin,     ///< {%
  block_end,       ///< %}
  variable_begin,  ///< {{
  variable_end,    ///< }}
  name,
  string,
  number,
  symbol,  ///< an operator or a bracket
  end,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;  ///< the name, symbol, text or (unescaped) string
  Value number = Value();
};

/// A template that cannot be read: what is wrong in which line.
struct SyntaxFault {
  int line;
  std::string message;
};

/// The tokens of a template, an `end` last. Throws SyntaxFault.
std::vector<Token> tokenize(std::string_view source);

}  // namespace trireme::jinja
