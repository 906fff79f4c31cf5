// The labels of `--choices`, and of a row's own field.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "batch/row_settings.h"

namespace trireme {

/// Sets in `rows` what `--choices TEXT` means. A file of that name, if there is one: a JSON list of
/// strings, or a label a line (blank lines are none). Else "{column}", where each row has its own;
/// else labels between commas, without the blanks around them. Throws Error(usage | input) for
/// labels that cannot be chosen among.
void take_choices(const std::string& text, RowSettings& rows);

/// Labels as a field has them: a list of strings, or a text of labels between commas. Throws
/// BadRow.
std::vector<std::string> choices_of(std::string_view field, const simdjson::dom::element& value);
/// The same of a column of a CSV, which may hold such a list as JSON.
std::vector<std::string> choices_of(std::string_view column, const std::string& text);

}  // namespace trireme
