#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace trireme {

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = variable(name);
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return value.find("UTF-8") != value.npos || value.find("UTF8") != value.npos;
  }
  return false;
}

int width_of(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const int columns = std::atoi(variable("COLUMNS").c_str());
  return columns > 0 ? columns : 100;
}

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::bold:
      return "1";
    case Colour::dim:
      return "2";
    case Colour::red:
      return "31";
    case Colour::green:
      return "32";
    case Colour::yellow:
      return "33";
    case Colour::blue:
      return "34";
    case Colour::magenta:
      return "35";
    case Colour::cyan:
      return "36";
  }
  return "0";
}

void print_line(Colour colour, std::string_view kind, std::string_view message) {
  const Terminal terminal = look_at_terminal(STDERR_FILENO);
  const std::string line =
      "trireme: " + paint(terminal, colour, kind) + " " + std::string(message) + "\n";
  std::fputs(line.c_str(), stderr);
}

}  // namespace

Terminal look_at_terminal(int fd) {
  Terminal terminal;
  const bool plain = !variable("NO_COLOR").empty();
  terminal.interactive = isatty(fd) != 0;
  terminal.colour = terminal.interactive && !plain && variable("TERM") != "dumb";
  terminal.utf8 = !plain && locale_is_utf8();
  terminal.width = std::clamp(width_of(fd), 40, 200);
  return terminal;
}

std::string paint(const Terminal& terminal, Colour colour, std::string_view text) {
  if (!terminal.colour || text.empty()) return std::string(text);
  return "\033[" + std::string(code_of(colour)) + "m" + std::string(text) + "\033[0m";
}

void print_error(std::string_view message) { print_line(Colour::red, "error:", message); }
void print_warning(std::string_view message) { print_line(Colour::yellow, "warning:", message); }

}  // namespace trireme
