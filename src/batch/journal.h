// The append-only record of finished rows, beside the output until that is complete. It survives
// kill -9 at any point: a torn record at the end is dropped when the journal is opened again.
//
// Layout, little-endian: "TRIREMEJ", u32 version, u32 length of the job's description, i64 when the
// job began, u32 CRC-32C of that time and the description, u32 0, the description; then records
// {u32 magic, u32 CRC-32C of the rest, u64 row, u64 hash of the input row, u32 flags, u32 length,
// the output line}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/output_file.h"

namespace trireme {

class Journal {
 public:
  struct Record {
    std::uint64_t row_hash = 0;
    bool failed = false;
    std::string line;
  };

  /// Opens the journal at `path` or makes one, and locks it. `job` describes everything that
  /// determines the output, a `key=value` a line. With `restart`, what is there is thrown away.
  /// `now`, in seconds since the epoch, is kept as the time when a new job began.
  /// Throws Error(usage) when another process holds the lock or the journal is another job's,
  /// Error(input) when it is damaged.
  Journal(const std::filesystem::path& path, const std::string& job, std::int64_t now,
          bool restart);

  /// When the job began, in seconds since the epoch: in this run or an earlier one.
  std::int64_t started() const { return started_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t failed_rows() const { return failed_rows_; }
  /// One beyond the highest row in it.
  std::uint64_t row_limit() const { return offsets_.size(); }
  bool has(std::uint64_t row) const { return row < offsets_.size() && offsets_[row] != 0; }

  /// The hash of the input row that the record answers.
  std::uint64_t row_hash(std::uint64_t row) const;
  /// Reads a record back and checks it. Throws Error(input) if the disk has changed it.
  Record read(std::uint64_t row) const;
  /// Bytes of all output lines.
  std::uint64_t line_bytes() const { return line_bytes_; }

  /// A row that is already there is ignored. Throws Error(resource) on a full disk; the
  /// journal then holds what it held before.
  void append(std::uint64_t row, const Record& record);
  void sync() const { file_.sync_data(); }
  void remove();

 private:
  void lock() const;
  void start(const std::string& job, std::int64_t now);
  /// False when its maker was killed before the head was whole.
  bool load(const std::string& job);
  void check_job(std::string_view stored, std::string_view wanted) const;
  void note(std::uint64_t row, std::uint64_t offset, bool failed, std::size_t line_bytes);

  std::filesystem::path path_;
  OutputFile file_;
  std::int64_t started_ = 0;
  std::uint64_t end_ = 0;               ///< of the last whole record
  std::vector<std::uint64_t> offsets_;  ///< of each row's record; 0: none. All that memory holds.
  std::uint64_t rows_ = 0;
  std::uint64_t failed_rows_ = 0;
  std::uint64_t line_bytes_ = 0;
};

}  // namespace trireme
