// The append-only record of finished rows, beside the output until that is complete. It survives
// kill -9 and loss of power at any point: a torn record at the end is dropped when the journal is
// opened again. journal_records.h says what is in it.
//
// Memory holds nothing of the rows up to the first unfinished one, and a few bytes of each beyond.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "batch/files.h"
#include "batch/journal_records.h"

namespace trireme {

class Journal {
 public:
  /// Opens the journal at `path` or makes one, and locks it. `job` describes everything that
  /// determines the output, a `key=value` a line. With `restart`, what is there is thrown away.
  /// `now`, in seconds since the epoch, is kept as the time when a new job began.
  /// Throws Error(usage) when another process holds the lock or the journal is another job's,
  /// Error(input) when it is damaged.
  Journal(Files& files, const std::filesystem::path& path, const std::string& job, std::int64_t now,
          bool restart);

  /// When the job began, in seconds since the epoch: in this run or an earlier one.
  std::int64_t started() const { return head_.started; }
  std::uint64_t rows() const { return finished_ + ahead_.size(); }
  /// Whether this run began the job.
  bool is_new() const { return is_new_; }
  std::uint64_t failed_rows() const { return failed_rows_; }
  /// One beyond the highest row in it.
  std::uint64_t row_limit() const { return ahead_.empty() ? finished_ : *ahead_.rbegin() + 1; }
  bool has(std::uint64_t row) const { return row < finished_ || ahead_.contains(row); }
  /// Bytes of all output lines.
  std::uint64_t line_bytes() const { return line_bytes_; }

  /// A row that is already there is ignored. Throws Error(resource) on a full disk: what it held
  /// before is safe.
  void append(const JournalRecord& record);
  /// Makes what was appended durable. Where the disk cannot, those rows are given up: nobody knows
  /// what it has kept of them, and asking again would tell nothing. Throws Error(resource); nothing
  /// can be appended after that.
  void sync();
  void remove();

  /// The records that are there now, in the order of their rows.
  class Cursor {
   public:
    /// The record of `row`, valid until the next call. Rows are asked for in rising order, and each
    /// is there. One pass over the file: of the rows that come before their turn memory holds the
    /// place. Throws Error(input) if the disk has changed it.
    const JournalRecord& seek(std::uint64_t row);

   private:
    friend class Journal;
    Cursor(const File& file, const JournalHead& head, std::uint64_t end);
    const File* file_;
    JournalScanner scanner_;
    JournalRecord record_;
    std::map<std::uint64_t, std::uint64_t> places_;  ///< of rows ahead
    std::uint64_t next_ = 0;
  };
  Cursor cursor() const { return {*file_, head_, end_}; }

 private:
  void lock() const;
  void start(const std::string& job, std::int64_t now);
  /// False when its maker was killed before the head was whole.
  bool load(const std::string& job);
  void load_records();
  bool holds_nothing() const;
  void check_job(const std::string& job) const;
  void note(const JournalRecord& record);
  void keep_whole_records();
  void keep_durable_records();
  /// Nothing more can be appended: throws, now and from now on.
  [[noreturn]] void give_up(const std::string& message);

  Files& files_;
  std::filesystem::path path_;
  std::unique_ptr<File> file_;
  JournalHead head_;
  bool is_new_ = false;
  std::uint64_t end_ = 0;          ///< of the last whole record
  std::uint64_t durable_end_ = 0;  ///< of the last that is known to be durable
  std::string broken_;             ///< why nothing can be appended any more
  std::uint64_t finished_ = 0;     ///< rows before this one are there
  std::set<std::uint64_t> ahead_;  ///< rows beyond it that are, too
  std::uint64_t failed_rows_ = 0;
  std::uint64_t line_bytes_ = 0;
};

}  // namespace trireme
