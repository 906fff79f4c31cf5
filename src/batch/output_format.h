// In which form finished rows are written: by the output's name, or as a flag says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

struct OutputFormat {
  enum class Rows : std::uint8_t { jsonl, csv, tsv, text, parquet };
  enum class Compression : std::uint8_t { none, gzip, zstd };

  Rows rows = Rows::jsonl;
  Compression compression = Compression::none;
  std::uint32_t shards = 0;  ///< files of a folder; 0: one file

  /// Whether rows become lines with a fixed set of columns.
  bool is_table() const { return rows != Rows::jsonl && rows != Rows::text; }
  /// ".csv.gz".
  std::string extension() const;
};

inline constexpr std::uint32_t most_shards = 10'000;

/// `wanted`: "csv", "jsonl.gz", ..., or "auto": what the path's extensions say, and JSON Lines
/// where they say nothing. Throws Error(usage) for an unknown one, and for Parquet within gzip or
/// zstd.
OutputFormat output_format_of(std::string_view path, const std::string& wanted,
                              std::uint32_t shards = 0);

}  // namespace trireme
