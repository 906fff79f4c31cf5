// A row as it was cut out of the input, before anybody has looked into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/hash.h"

namespace trireme {

/// A longer row is not read (ReaderOptions::max_row_bytes says why).
constexpr std::size_t most_row_bytes = std::size_t{8} << 20;

/// What keeps a row from being read at all.
enum class RowDefect : std::uint8_t {
  none,
  too_long,            ///< beyond the limit; its bytes were dropped
  unterminated_quote,  ///< CSV: the input ended within quotes
};

struct RawRow {
  std::uint64_t index = 0;  ///< counts rows from 0
  std::uint64_t line = 0;   ///< of its file, from 1: where the row begins
  std::string bytes;        ///< without the line end
  RowDefect defect = RowDefect::none;
  std::uint64_t cost = 1;  ///< expected work, in tokens: the coordinator's own, not sent
  std::string file = {};   ///< its name, where the input has several

  /// For messages: "line 3", or "data/b.jsonl, line 3".
  std::string place() const {
    return (file.empty() ? "" : file + ", ") + "line " + std::to_string(line);
  }
  /// Tells whether a row is the one that a journal remembers.
  std::uint64_t hash() const { return mixed(fnv1a(bytes) + static_cast<std::uint64_t>(defect)); }
};

}  // namespace trireme
