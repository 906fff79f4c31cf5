// Turns a template's tokens into its syntax tree, as Jinja2 3.1 reads them.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"

namespace trireme::jinja {

/// Throws SyntaxFault (lexer.h).
Block parse(std::string_view source);

}  // namespace trireme::jinja
