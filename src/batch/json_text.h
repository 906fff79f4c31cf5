// JSON written by hand where the exact bytes matter: one line, valid UTF-8, a fixed order of keys.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

/// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD; control characters and
/// every character that some reader takes for a line end (U+0085, U+2028, U+2029) are escaped.
void append_json_string(std::string& out, std::string_view text);
std::string json_string(std::string_view text);

bool is_valid_utf8(std::string_view text);

}  // namespace trireme
