#include "batch/row_source.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "batch/compressed_source.h"
#include "batch/parquet.h"
#include "core/error.h"

namespace trireme {

namespace {

constexpr std::string_view parquet_magic = "PAR1";

/// By the flag, the name or the first bytes of a file that can be read again.
bool is_parquet(const std::string& path, const std::string& format) {
  if (format != "auto") return format == "parquet";
  std::error_code ignored;
  if (path == "-" || !std::filesystem::is_regular_file(path, ignored)) return false;
  if (row_extension(path) == "parquet" && without_compression(path) == path) return true;
  std::string start(parquet_magic.size(), '\0');
  return open_bytes(path)->read(start) == start.size() && start == parquet_magic;
}

}  // namespace

RowSource rows_of_bytes(std::unique_ptr<ByteSource> bytes) {
  std::string format = row_extension(bytes->name());
  return {decompressed(std::move(bytes)), std::move(format)};
}

RowSource open_rows(const std::string& path, const std::string& format) {
  if (!is_parquet(path, format)) return rows_of_bytes(open_bytes(path));
  if (!std::filesystem::is_regular_file(path)) {
    open_bytes(path);  // says what it is, if it is nothing to read from
    fail(ErrorKind::usage, "{}: Parquet is read from its end: give a file, and not a pipe", path);
  }
  std::unique_ptr<ParquetRows> rows = parquet_plugin(path).open(path);
  std::vector<RowColumn> columns = rows->columns();
  return {std::move(rows), "jsonl", std::move(columns)};
}

std::string row_extension(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const std::string_view plain = without_compression(lower);
  const std::size_t dot = plain.rfind('.');
  const std::size_t slash = plain.rfind('/');
  if (dot == plain.npos || (slash != plain.npos && dot < slash)) return "";
  return std::string(plain.substr(dot + 1));
}

bool is_row_extension(std::string_view extension) {
  constexpr std::array known{"jsonl", "ndjson", "json", "csv", "tsv", "txt", "text", "parquet"};
  return std::ranges::find(known, extension) != known.end();
}

}  // namespace trireme
