#include "batch/output_format.h"

#include <optional>

#include "batch/compressed_source.h"
#include "batch/row_source.h"
#include "core/error.h"

namespace trireme {

namespace {

using Rows = OutputFormat::Rows;
using Compression = OutputFormat::Compression;

std::optional<Rows> rows_of(std::string_view extension) {
  if (extension == "jsonl" || extension == "ndjson" || extension == "json") return Rows::jsonl;
  if (extension == "csv") return Rows::csv;
  if (extension == "tsv") return Rows::tsv;
  if (extension == "txt" || extension == "text") return Rows::text;
  if (extension == "parquet") return Rows::parquet;
  return std::nullopt;
}

Compression compression_of(std::string_view name) {
  if (name.ends_with(".gz")) return Compression::gzip;
  return name.ends_with(".zst") ? Compression::zstd : Compression::none;
}

}  // namespace

std::string OutputFormat::extension() const {
  constexpr const char* names[] = {".jsonl", ".csv", ".tsv", ".txt", ".parquet"};
  constexpr const char* packed[] = {"", ".gz", ".zst"};
  return std::string(names[static_cast<std::size_t>(rows)]) +
         packed[static_cast<std::size_t>(compression)];
}

OutputFormat output_format_of(std::string_view path, const std::string& wanted,
                              std::uint32_t shards) {
  const bool by_name = wanted == "auto";
  const std::string_view name = by_name ? path : std::string_view(wanted);
  // A name has an extension or none; a format is one.
  const std::string extension =
      by_name ? row_extension(name) : std::string(without_compression(wanted));
  const std::optional<Rows> rows = rows_of(extension);
  if (!rows && !by_name) {
    fail(ErrorKind::usage,
         "--output-format {}: unknown; known are auto, jsonl, csv, tsv, txt and parquet, the first "
         "four with .gz or .zst behind",
         wanted);
  }
  for (const std::string_view packed : {".bz2", ".xz", ".lz4", ".zip", ".7z", ".br"}) {
    if (!by_name || !name.ends_with(packed)) continue;
    fail(ErrorKind::usage, "-o {}: {} is not written; .gz and .zst are", name, packed.substr(1));
  }
  const OutputFormat format{rows.value_or(Rows::jsonl), compression_of(name), shards};
  if (format.rows == Rows::parquet && format.compression != Compression::none) {
    fail(ErrorKind::usage,
         "{}: Parquet compresses its own columns; leave out what follows .parquet", name);
  }
  return format;
}

}  // namespace trireme
