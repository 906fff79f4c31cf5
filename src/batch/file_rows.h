// One file (or pipe) cut into rows, in a stream, with bounded memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/csv.h"
#include "batch/raw_row.h"
#include "batch/row_settings.h"
#include "batch/row_source.h"

namespace trireme {

struct ReaderOptions {
  std::string format = "auto";  ///< --input-format: auto, jsonl, text, csv, tsv, parquet
  /// A longer row becomes an error row. A million tokens take less; and an answer that quotes all
  /// of its row with every byte escaped, six times as long, fits into one message.
  std::size_t max_row_bytes = most_row_bytes;
  bool token_ids = false;  ///< an input of bare lists ("[1, 2]") is JSON Lines too
};

/// Line ends are LF or CRLF; a byte order mark is skipped; a last line without an end is a row.
/// With "auto", the name's extension decides, else the first bytes ({" is JSON Lines, else text).
class FileRows {
 public:
  /// Reads the first bytes, and the header of a CSV. Throws Error(usage) for an unknown format,
  /// Error(input) for an input that can hold no rows: UTF-16, a JSON array, no header.
  FileRows(RowSource source, ReaderOptions options);

  /// The next row, or nothing at the end; `index` counts the file's. Throws Error for what its
  /// bytes throw, saying how far it has come.
  std::optional<RawRow> next();

  /// Whether next() has something at once: a whole row, or the end. Takes in what has arrived, and
  /// waits for nothing, for an input that comes slowly (a pipe), however it is cut.
  bool ready();

  RowFormat format() const { return format_; }
  char delimiter() const { return delimiter_; }
  const std::vector<std::string>& csv_header() const { return header_; }
  /// Of Parquet, whose rows are JSON here; else none.
  const std::vector<RowColumn>& typed_columns() const { return source_.columns; }
  const std::string& name() const { return source_.bytes->name(); }
  /// Bytes of the rows so far, with their line ends: for progress.
  std::uint64_t bytes_read() const { return consumed_; }

 private:
  bool refill();
  /// What `ask` learns of the bytes' source.
  template <typename Ask>
  auto ask_source(Ask ask);
  bool holds_record();
  void decide_format(std::string_view start);
  void refuse_unreadable(std::string_view start) const;
  void read_header();
  /// Reads one line (or CSV record) into `row`; false at the end of the input.
  bool read_record(RawRow& row);
  void append(RawRow& row, std::string_view bytes) const;

  RowSource source_;
  ReaderOptions options_;
  RowFormat format_ = RowFormat::jsonl;
  char delimiter_ = ',';
  std::vector<std::string> header_;
  std::string buffer_;
  std::size_t position_ = 0;  ///< of the first unread byte in buffer_
  std::size_t scanned_ = 0;   ///< bytes from there on in which no record ends
  CsvScanner scanner_{','};   ///< has seen those
  bool at_end_ = false;
  std::uint64_t consumed_ = 0;
  std::uint64_t line_ = 1;
  std::uint64_t next_index_ = 0;
};

}  // namespace trireme
