// A job as its journal remembers it: a `key=value` a line, and what differs between two of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "batch/input_files.h"

namespace trireme {

/// "key=value\n"; what would end the line is escaped.
std::string identity_line(std::string_view key, std::string_view value);

/// The line for what is read: the sizes of regular files, which tell at once that they have
/// changed; the rows are compared one by one. Nothing if one is a pipe.
std::string describe_input(const std::vector<InputFile>& files);

/// What differs, each with both values, five at most; empty: nothing. What is read is compared only
/// where both say it: a job may go on from a file with what began from a pipe.
std::string describe_differences(std::string_view unfinished, std::string_view here);

}  // namespace trireme
