// Answers as a table: which columns an answer has, and which of the row's own go with it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "batch/row_settings.h"

namespace trireme {

enum class RowColumnType : std::uint8_t {
  text,  ///< a string; of any other JSON value its text
  boolean,
  integer,           ///< 64 bits
  unsigned_integer,  ///< 64 bits
  real32,
  real64,
  integers,  ///< list of 64-bit integers
  reals32,   ///< list
  reals64,   ///< list
};

/// For messages.
constexpr std::string_view name_of(RowColumnType type) {
  constexpr std::string_view names[] = {"text",   "boolean", "integer",  "unsigned integer",
                                        "float",  "double",  "integers", "floats",
                                        "doubles"};
  return names[static_cast<std::size_t>(type)];
}

struct RowColumn {
  std::string name;
  RowColumnType type = RowColumnType::text;

  bool operator==(const RowColumn&) const = default;
};

/// Of an answer alone, in order. A line's "error" becomes error_code and error_message.
std::vector<RowColumn> answer_columns(RowTask task);

/// The name under which a row's own column goes into the answer: its own, and "input_text" for
/// "text" where an answer has that itself. Different columns get different names.
std::string kept_name(RowTask task, std::string_view name);

/// The row's own columns are in an answer under `kept_name`. "id" is not kept: the answer has it.
bool is_kept(const RowSettings& settings, std::string_view name);

/// Throws Error(usage) for a column to keep that is named twice, or that an input of `own` columns
/// has not. `own`: none where they are not known, as of JSON Lines.
void check_kept_columns(const RowSettings& settings, const std::vector<RowColumn>& own);

/// The columns of a table of answers, those that are kept first. Throws Error(usage) where all are
/// to be kept and they are not known.
std::vector<RowColumn> table_columns(const RowSettings& settings,
                                     const std::vector<RowColumn>& own);

}  // namespace trireme
