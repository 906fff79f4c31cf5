// An answer's line of JSON as the cells of a table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/columns.h"

namespace trireme {

/// A string as it is, any other JSON value as its text; nothing for null.
using Cell = std::optional<std::string>;

class AnswerCells {
 public:
  explicit AnswerCells(std::vector<RowColumn> columns);
  ~AnswerCells();

  const std::vector<RowColumn>& columns() const { return columns_; }
  /// Valid until the next call. Fields without a column are left out; OpenAI's answers are taken
  /// apart.
  const std::vector<Cell>& of(std::string_view json_line);

 private:
  struct Parser;

  Cell* find(std::string_view name);

  std::vector<RowColumn> columns_;
  std::vector<Cell> cells_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace trireme
