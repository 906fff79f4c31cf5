// A file of rows as a stream of text that rows can be cut out of, whatever it is packed in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "batch/byte_source.h"
#include "batch/columns.h"

namespace trireme {

struct RowSource {
  std::unique_ptr<ByteSource> bytes;
  std::string format;  ///< what the name says: "jsonl", "csv", ...; "" or unknown: nothing
  std::vector<RowColumn> columns = {};  ///< of Parquet, whose rows are JSON Lines here
};

/// Decompresses what is compressed.
RowSource rows_of_bytes(std::unique_ptr<ByteSource> bytes);

/// Opens a file, or standard input for "-". `format`: see ReaderOptions. Throws Error(usage) for
/// Parquet where its plug-in is not there, or that comes through a pipe.
RowSource open_rows(const std::string& path, const std::string& format);

/// The extension in lower case, that of a compression left out: "jsonl" of "A/B.JSONL.gz".
std::string row_extension(std::string_view name);

/// Whether files of this extension are rows, for folders full of files.
bool is_row_extension(std::string_view extension);

}  // namespace trireme
