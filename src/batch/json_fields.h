// The values of a JSON object as they are written, which no parser gives back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// The text of each value of `object`, in order, without space around it. `object` must have been
/// found valid by a parser, whose keys are in the same order.
std::vector<std::string_view> raw_values(std::string_view object);

/// Appends a valid JSON value so that it stays on its line for every reader: see
/// append_json_string. Everything else is as it was.
void append_raw_json(std::string& out, std::string_view value);

}  // namespace trireme
