// Of the Parquet plug-in: a value of an Arrow array as JSON.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <string>

namespace trireme {

/// Lists and structures as such; dates and times as ISO 8601 strings; what is not finite as null;
/// bytes that are not UTF-8 as U+FFFD; what has no equal in JSON (decimals, intervals) as a string.
void append_json(std::string& out, const arrow::Array& array, std::int64_t index);

}  // namespace trireme
