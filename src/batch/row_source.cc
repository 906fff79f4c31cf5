#include "batch/row_source.h"

#include <algorithm>
#include <array>

#include "batch/compressed_source.h"

namespace trireme {

RowSource rows_of_bytes(std::unique_ptr<ByteSource> bytes) {
  std::string format = row_extension(bytes->name());
  return {decompressed(std::move(bytes)), std::move(format)};
}

RowSource open_rows(const std::string& path, const std::string& /*format*/) {
  return rows_of_bytes(open_bytes(path));
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
