// Parquet files, by a plug-in over Apache Arrow: a machine without it still runs. Nothing of Arrow
// is seen here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "batch/answer_cells.h"
#include "batch/byte_source.h"
#include "batch/columns.h"
#include "batch/row_writer.h"

namespace trireme {

/// A file's rows as JSON Lines, each an object with all columns: lists and structures as JSON,
/// times as ISO 8601, what is no number (NaN) as null.
class ParquetRows : public ByteSource {
 public:
  virtual const std::vector<RowColumn>& columns() const = 0;
};

/// Rows into a file, in groups of about `parquet_group_bytes`.
class ParquetTable {
 public:
  virtual ~ParquetTable() = default;
  /// A cell a column.
  virtual void add(const std::vector<Cell>& cells) = 0;
  virtual void finish() = 0;
};

/// What libtrireme_parquet.so gives. Everything throws Error(input) for a file that Arrow does not
/// like.
class ParquetPlugin {
 public:
  virtual ~ParquetPlugin() = default;
  virtual std::unique_ptr<ParquetRows> open(const std::string& path) const = 0;
  /// The sink must stay.
  virtual std::unique_ptr<ParquetTable> write(const std::vector<RowColumn>& columns,
                                              ByteSink& sink) const = 0;
};

/// Throws Error(usage) that says how to get the plug-in where there is none. `name`: the file that
/// is why.
const ParquetPlugin& parquet_plugin(const std::string& name);

/// Whether the plug-in can be loaded.
bool has_parquet();

/// How many bytes of cells a writer holds: Parquet writes columns, a group of rows at a time.
inline constexpr std::size_t parquet_group_bytes = std::size_t{32} << 20;
inline constexpr std::size_t parquet_group_rows = 100'000;

/// What the plug-in exports as `trireme_parquet`: null if it is of another version.
inline constexpr int parquet_interface = 1;
using ParquetEntry = const ParquetPlugin* (*)(int interface);

}  // namespace trireme
