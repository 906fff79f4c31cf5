// The rows of an input, numbered through over all of its files, of which one is open at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "batch/byte_source.h"
#include "batch/columns.h"
#include "batch/file_rows.h"
#include "batch/input_files.h"

namespace trireme {

class RowReader {
 public:
  /// One input, compressed or not. Throws as FileRows does.
  RowReader(std::unique_ptr<ByteSource> source, ReaderOptions options);
  /// Looks into every file that can be read twice: all must be of one format, and CSV and
  /// Parquet files of one set of columns. Throws Error(input) where they are not, and as FileRows
  /// does. `files`: at least one.
  RowReader(std::vector<InputFile> files, ReaderOptions options);

  /// The next row, or nothing at the end. Rows of several files know theirs.
  std::optional<RawRow> next();
  /// See FileRows::ready(). A file that comes after another is opened, and its first bytes are
  /// waited for.
  bool ready();

  RowFormat format() const { return current_->format(); }
  char delimiter() const { return current_->delimiter(); }
  const std::vector<std::string>& csv_header() const { return current_->csv_header(); }
  /// The columns that every row has; none for JSON Lines, where each may have others.
  std::vector<RowColumn> columns() const;
  /// Of the file that is being read.
  const std::string& name() const { return current_->name(); }
  std::uint64_t bytes_read() const { return bytes_before_ + current_->bytes_read(); }
  /// All of them, in order; none if the reader was given bytes.
  const std::vector<InputFile>& files() const { return files_; }

 private:
  std::unique_ptr<FileRows> open(const InputFile& file) const;
  /// False: none is left.
  bool open_next();
  void check_agreement() const;
  void check_like_first(const FileRows& rows) const;

  std::vector<InputFile> files_;
  ReaderOptions options_;
  std::size_t opened_ = 1;
  std::unique_ptr<FileRows> current_;
  std::optional<RawRow> ahead_;  ///< ready() has seen it
  std::uint64_t bytes_before_ = 0;
  std::uint64_t next_index_ = 0;
};

}  // namespace trireme
