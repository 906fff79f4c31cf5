// Words of a command line that a person may copy into a shell.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// The word as a POSIX shell reads it: as it is where nothing in it means more, else in quotes.
std::string shell_quoted(std::string_view word);

}  // namespace trireme
