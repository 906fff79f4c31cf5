#include "batch/row_reader.h"

#include <algorithm>

#include "core/error.h"

namespace trireme {

namespace {

std::string format_name(const FileRows& rows) {
  switch (rows.format()) {
    case RowFormat::jsonl:
      return rows.typed_columns().empty() ? "JSON Lines" : "Parquet";
    case RowFormat::text:
      return "plain text";
    case RowFormat::csv:
      return rows.delimiter() == '\t' ? "TSV" : "CSV";
  }
  return "";
}

std::vector<RowColumn> columns_of(const FileRows& rows) {
  if (rows.format() == RowFormat::text) return {{"text"}};
  std::vector<RowColumn> columns = rows.typed_columns();
  for (const std::string& name : rows.csv_header()) columns.push_back({name});
  return columns;
}

std::string list_of(const FileRows& rows) {
  std::string list;
  for (const RowColumn& column : columns_of(rows)) {
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", column.name);
    if (!rows.typed_columns().empty()) list += fmt::format(" {}", name_of(column.type));
  }
  return list;
}

}  // namespace

RowReader::RowReader(std::unique_ptr<ByteSource> source, ReaderOptions options)
    : options_(std::move(options)),
      current_(std::make_unique<FileRows>(rows_of_bytes(std::move(source)), options_)) {}

RowReader::RowReader(std::vector<InputFile> files, ReaderOptions options)
    : files_(std::move(files)), options_(std::move(options)), current_(open(files_.at(0))) {
  check_agreement();
}

std::unique_ptr<FileRows> RowReader::open(const InputFile& file) const {
  return std::make_unique<FileRows>(open_rows(file.path, options_.format), options_);
}

/// A mistake in the last file is to be told before the first is worked on.
void RowReader::check_agreement() const {
  for (std::size_t i = 1; i < files_.size(); ++i) {
    if (files_[i].bytes) check_like_first(*open(files_[i]));
  }
}

void RowReader::check_like_first(const FileRows& rows) const {
  const FileRows& first = *current_;  // or one that was like it
  if (format_name(rows) != format_name(first)) {
    fail(ErrorKind::input,
         "{} holds {}, but {} holds {}: the files of one input must be of one format; say which "
         "with --input-format, or run them apart",
         first.name(), format_name(first), rows.name(), format_name(rows));
  }
  if (columns_of(rows) != columns_of(first)) {
    fail(ErrorKind::input,
         "the columns of {} ({}) and of {} ({}) differ: the files of one input must have the same, "
         "in the same order",
         first.name(), list_of(first), rows.name(), list_of(rows));
  }
}

std::vector<RowColumn> RowReader::columns() const { return columns_of(*current_); }

bool RowReader::open_next() {
  if (opened_ >= files_.size()) return false;
  std::unique_ptr<FileRows> rows = open(files_[opened_]);
  check_like_first(*rows);
  bytes_before_ += current_->bytes_read();
  current_ = std::move(rows);
  ++opened_;
  return true;
}

bool RowReader::ready() {
  while (!ahead_) {
    if (!current_->ready()) return false;
    ahead_ = current_->next();
    if (!ahead_ && !open_next()) return true;
  }
  return true;
}

std::optional<RawRow> RowReader::next() {
  std::optional<RawRow> row = std::exchange(ahead_, {});
  do {
    if (!row) row = current_->next();
  } while (!row && open_next());
  if (!row) return std::nullopt;
  row->index = next_index_++;
  if (files_.size() > 1) row->file = current_->name();
  return row;
}

}  // namespace trireme
