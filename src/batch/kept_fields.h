// A row's own columns on their way into its answer (--keep-columns), as fields of JSON that go
// before the answer's own: `"a":1,"b":"x",`.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "batch/row_settings.h"

namespace trireme {

/// Of a row of JSON: values as they are written; of duplicates the last. `bytes`: what `row` was
/// parsed from. Columns that are named, and not there, are null. Throws BadRow where the fields are
/// too many for one message, as do all functions here.
std::string kept_fields(const RowSettings& settings, const simdjson::dom::object& row,
                        std::string_view bytes);

/// Of a row of CSV or text, with `names` of its columns: strings.
std::string kept_fields(const RowSettings& settings, const std::vector<std::string>& names,
                        const std::vector<std::string>& values);

}  // namespace trireme
