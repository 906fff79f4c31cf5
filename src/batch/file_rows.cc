#include "batch/file_rows.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{64} << 10;

bool is_blank(std::string_view bytes) {
  return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::string_view without_leading_blanks(std::string_view bytes) {
  return bytes.substr(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
}

/// '{' and then a key or nothing: what begins an object, and hardly a prompt.
bool looks_like_json_object(std::string_view start) {
  start = without_leading_blanks(start);
  if (!start.starts_with('{')) return false;
  start = without_leading_blanks(start.substr(1));
  return start.starts_with('"') || start.starts_with('}');
}

}  // namespace

FileRows::FileRows(RowSource source, ReaderOptions options)
    : source_(std::move(source)), options_(std::move(options)) {
  // A pipe hands out what it has; some bytes are enough to tell the formats apart.
  while (buffer_.size() < 16 && refill()) {
  }
  refuse_unreadable(buffer_);
  if (buffer_.starts_with("\xef\xbb\xbf")) position_ = consumed_ = 3;
  decide_format(std::string_view(buffer_).substr(position_));
  if (format_ == RowFormat::csv) read_header();
}

template <typename Ask>
auto FileRows::ask_source(Ask ask) {
  try {
    return ask(*source_.bytes);
  } catch (const Error& error) {
    // It may be a stream's damage, of which only the offset among compressed bytes is known.
    fail(error.kind(), "{} (in line {} of what it holds, after {} rows)", error.what(), line_,
         next_index_);
  }
}

bool FileRows::refill() {
  if (at_end_) return false;
  buffer_.erase(0, position_);
  position_ = 0;
  const std::size_t kept = buffer_.size();
  buffer_.resize(kept + buffer_bytes);
  const std::size_t got =
      ask_source([&](ByteSource& source) { return source.read(std::span(buffer_).subspan(kept)); });
  buffer_.resize(kept + got);
  at_end_ = got == 0;
  return !at_end_;
}

void FileRows::refuse_unreadable(std::string_view start) const {
  constexpr std::pair<std::string_view, const char*> kinds[] = {
      {"\x1f\x8b", "it is compressed twice; decompress it once: zcat FILE | ... -i -"},
      {"\x28\xb5\x2f\xfd", "it is compressed twice; decompress it once: zstdcat FILE | ... -i -"},
      {"BZh91AY&SY", "it is bzip2-compressed; use: bzcat FILE | ... -i -"},
      {"\xfd"
       "7zXZ",
       "it is xz-compressed; use: xzcat FILE | ... -i -"},
      {"PK\x03\x04", "it is a ZIP archive; use: unzip -p FILE | ... -i -"},
      {"PAR1", "it is Parquet, which is read from its end: give the file itself, not a pipe of it"},
      {"\xff\xfe", "it is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"},
      {"\xfe\xff", "it is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"}};
  for (const auto& [magic, message] : kinds) {
    if (start.starts_with(magic)) fail(ErrorKind::input, "{}: {}", name(), message);
  }
}

void FileRows::decide_format(std::string_view start) {
  std::string wanted = options_.format;
  if (wanted == "auto" || !source_.columns.empty()) wanted = source_.format;
  if (options_.format == "auto" && wanted == "json" &&
      without_leading_blanks(start).starts_with('[') && !options_.token_ids) {
    fail(ErrorKind::input,
         "{}: this is one JSON array; rows are JSON Lines, an object a line. Convert it: jq -c "
         "'.[]' "
         "FILE > rows.jsonl",
         name());
  }
  if (wanted == "jsonl" || wanted == "ndjson" || wanted == "json") {
    format_ = RowFormat::jsonl;
  } else if (wanted == "text" || wanted == "txt") {
    format_ = RowFormat::text;
  } else if (wanted == "csv" || wanted == "tsv") {
    format_ = RowFormat::csv;
    delimiter_ = wanted == "tsv" ? '\t' : ',';
  } else if (options_.format != "auto") {
    fail(ErrorKind::usage,
         "--input-format {}: unknown; known are auto, jsonl, text, csv, tsv and parquet",
         options_.format);
  } else {
    const bool list = options_.token_ids && without_leading_blanks(start).starts_with('[');
    format_ = list || looks_like_json_object(start) ? RowFormat::jsonl : RowFormat::text;
  }
}

void FileRows::read_header() {
  RawRow row;
  do {
    row = {};
    if (!read_record(row)) fail(ErrorKind::input, "{}: no header line; a CSV needs one", name());
  } while (is_blank(row.bytes) && row.defect == RowDefect::none);
  auto fields = parse_csv_record(row.bytes, delimiter_);
  if (row.defect != RowDefect::none || !fields) {
    fail(ErrorKind::input, "{}: line {}: the header's quotes do not close", name(), row.line);
  }
  std::set<std::string_view> names;
  for (const std::string& field : *fields) {
    if (!names.insert(field).second) {
      fail(ErrorKind::input, "{}: line {}: two columns are called \"{}\"; rename one", name(),
           row.line, field);
    }
  }
  header_ = std::move(*fields);
}

void FileRows::append(RawRow& row, std::string_view bytes) const {
  if (row.defect == RowDefect::too_long) return;
  if (row.bytes.size() + bytes.size() > options_.max_row_bytes) {
    row.defect = RowDefect::too_long;
    row.bytes = {};
    return;
  }
  row.bytes.append(bytes);
}

bool FileRows::read_record(RawRow& row) {
  scanned_ = 0;
  scanner_ = CsvScanner(delimiter_);
  if (position_ == buffer_.size() && !refill()) return false;
  row.line = line_;
  CsvScanner scanner(delimiter_);
  for (;;) {
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view piece = rest.substr(0, end);
    if (format_ == RowFormat::csv) {
      for (const char c : piece) scanner.feed(c);
    }
    append(row, piece);
    const bool line_ends = end < rest.size();
    position_ += end + (line_ends ? 1 : 0);
    consumed_ += end + (line_ends ? 1 : 0);
    if (line_ends) {
      ++line_;
      if (!scanner.in_quotes()) break;
      scanner.feed('\n');
      append(row, "\n");
    }
    if (position_ == buffer_.size() && !refill()) {
      if (scanner.in_quotes() && row.defect == RowDefect::none) {
        row.defect = RowDefect::unterminated_quote;
      }
      break;
    }
  }
  if (row.bytes.ends_with('\r') && row.defect == RowDefect::none) row.bytes.pop_back();
  return true;
}

bool FileRows::ready() {
  while (!at_end_) {
    // Of a row that is too long nothing is kept: read_record drops its bytes as they come.
    if (scanned_ > options_.max_row_bytes) return true;
    if (!holds_record()) {
      const bool arrived = ask_source([](ByteSource& source) { return source.ready(); });
      if (!arrived) return false;
      refill();
      continue;
    }
    const std::string_view record = std::string_view(buffer_).substr(position_, scanned_);
    if (format_ == RowFormat::text || !is_blank(record)) return true;
    RawRow blank;
    read_record(blank);  // next() would go past it to one that has yet to come
  }
  return true;
}

/// Whether a record ends within the buffer. Looks at each byte once.
bool FileRows::holds_record() {
  for (;;) {
    const std::string_view rest = std::string_view(buffer_).substr(position_ + scanned_);
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (format_ == RowFormat::csv) {
      for (const char c : rest.substr(0, end)) scanner_.feed(c);
    }
    scanned_ += end;
    if (end == rest.size()) return false;
    if (!scanner_.in_quotes()) return true;
    scanner_.feed('\n');
    ++scanned_;
  }
}

std::optional<RawRow> FileRows::next() {
  for (;;) {
    RawRow row;
    if (!read_record(row)) return std::nullopt;
    const bool blank = row.defect == RowDefect::none && is_blank(row.bytes);
    if (blank && format_ != RowFormat::text) continue;
    row.index = next_index_++;
    return row;
  }
}

}  // namespace trireme
