// Finished rows as the bytes of a file: JSON Lines, CSV, TSV, text or Parquet, compressed or not.
// The bytes depend on the rows alone.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "batch/columns.h"
#include "batch/output_format.h"

namespace trireme {

/// Where bytes go, in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::string_view bytes) = 0;
};

class RowWriter {
 public:
  virtual ~RowWriter() = default;
  /// The next row's answer: JSON, one line without its end.
  virtual void add(std::string_view json_line) = 0;
  /// There are no more rows; the sink has everything after this.
  virtual void finish() = 0;
};

/// What a writer must know before the first row.
struct RowForm {
  OutputFormat format;
  std::vector<RowColumn> columns;  ///< of a table, or of text, which is one of them
};

/// Throws Error(usage) where answers have no text, or Parquet needs a plug-in that is not there.
void check_form(const RowForm& form);

/// The sink must stay. Writes what comes before all rows.
std::unique_ptr<RowWriter> open_row_writer(const RowForm& form, ByteSink& sink);

}  // namespace trireme
