// The finished output on its way to its place: absent, or whole. A file or a folder of shards, in
// any of the forms that rows are written in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "batch/files.h"
#include "batch/row_writer.h"

namespace trireme {

class FinalOutput {
 public:
  /// What is not committed is removed.
  virtual ~FinalOutput() = default;
  /// The next row's answer, a JSON object without a line end: in input order, each row once. Throws
  /// Error(resource) on a full disk.
  virtual void add(std::string_view json_line, bool failed) = 0;
  /// All rows are there: makes them durable, then gives the output its name, durably too. Where the
  /// process ends in between, the same again must give the same.
  virtual void commit() = 0;
};

struct FinalOutputOptions {
  std::filesystem::path path;
  std::string advice;  ///< for a write that fails: what is safe, and what to do
  Files* files = &real_files();
  RowForm form = {};
  std::uint64_t total_rows = 0;  ///< shards are ranges of these
};

/// One file, PATH.partial until it is committed; or, with shards, a folder.
std::unique_ptr<FinalOutput> open_final_output(const FinalOutputOptions& options);

}  // namespace trireme
