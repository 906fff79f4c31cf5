// The file of `score --logits`: all rows' logits as safetensors, written as they are computed.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cli/output.h"

namespace trireme {

/// The format wants all shapes in front, so the rows' lengths must be known; then every value has
/// its place, whatever comes first, and nothing is held in memory or copied. Tensors ids.N [tokens]
/// and logits.N [tokens, vocabulary] of row N.
class LogitsFile {
 public:
  /// Opens it. Throws Error(usage) for what is no regular file, Error(input | resource) for what
  /// cannot be written.
  explicit LogitsFile(const std::string& path);

  /// A row that will come. Call for all of them, then begin().
  void expect(std::uint64_t row, std::int64_t tokens);
  /// Writes the header and takes the room on the disk.
  void begin(std::int64_t vocab_size);

  // Rows that were not expected are left out: another replica's cache, smaller or larger than this
  // one's, may decide otherwise about a long text.

  void write_ids(std::uint64_t row, std::span<const std::int32_t> ids);
  /// Of the tokens `first`, `first` + 1, ... of the row.
  void write_logits(std::uint64_t row, std::int64_t first, std::span<const float> logits);
  /// All of it is there: gives it its name.
  void commit() { output_.commit(); }

 private:
  struct Row {
    std::int64_t tokens = 0;
    std::uint64_t ids = 0;  ///< where they begin
    std::uint64_t logits = 0;
  };
  const Row* find(std::uint64_t row) const;

  std::string path_;
  Output output_;
  std::map<std::uint64_t, Row> rows_;
  std::int64_t vocab_size_ = 0;
};

}  // namespace trireme
