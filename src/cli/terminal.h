// What a stream can show: whether a person looks at it, how wide it is, colours, characters.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

struct Terminal {
  bool interactive = false;  ///< a person looks at it, live
  bool colour = false;       ///< a terminal, and neither NO_COLOR nor TERM=dumb says otherwise
  bool utf8 = false;         ///< block characters may be drawn
  int width = 80;            ///< columns
};

/// Of a descriptor, by the environment: NO_COLOR (https://no-color.org), TERM, COLUMNS, LC_ALL,
/// LC_CTYPE, LANG. NO_COLOR also asks for plain ASCII.
Terminal look_at_terminal(int fd);

enum class Colour { bold, dim, red, yellow, green, blue, magenta, cyan };

/// `text` in a colour, if `terminal` shows any.
std::string paint(const Terminal& terminal, Colour colour, std::string_view text);

/// Writes "trireme: error: message" to standard error.
void print_error(std::string_view message);
void print_warning(std::string_view message);

}  // namespace trireme
