// Where finished rows go: exactly one line for each, in input order, whatever is killed, whenever.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "batch/files.h"
#include "batch/raw_row.h"
#include "batch/row_writer.h"

namespace trireme {

class RowOutput {
 public:
  virtual ~RowOutput() = default;

  /// When the job began, in seconds since the epoch: in this run, or in the one that it resumes.
  virtual std::int64_t started() const = 0;
  /// Whether another run of the same job can go on where this one ends.
  virtual bool resumable() const = 0;
  /// Rows that earlier runs of the job finished; `has` will be true for these.
  virtual std::uint64_t resumed_rows() const = 0;
  /// Whether the row is answered. To be asked in the order of the input, of each row at most once
  /// and before this run answers it. Throws Error(usage) when an earlier run answered a row of this
  /// index with other bytes: the input has changed.
  virtual bool has(const RawRow& row) = 0;
  /// `line` without its end. A row that is already answered is ignored. Throws Error(resource) on a
  /// full disk; the rows before it are safe.
  virtual void write(const RawRow& row, std::string_view line, bool failed) = 0;
  /// To be called now and then, a few times a second: makes what was written durable.
  virtual void tick() = 0;
  /// All of the input's rows are answered: completes the output.
  virtual void finish(std::uint64_t total_rows) = 0;

  /// Error rows so far, those of earlier runs too.
  virtual std::uint64_t failed_rows() const = 0;
  /// Bytes held in memory because rows before them are not answered.
  virtual std::uint64_t pending_bytes() const = 0;
};

struct OutputOptions {
  std::string path;  ///< "-": standard output
  /// Everything that determines the output's bytes (model, template, sampling, see job_identity.h),
  /// a `key=value` a line. The input's bytes are checked row by row, not here.
  std::string job;
  std::int64_t now = 0;    ///< seconds since the epoch: when a job that is new begins
  bool restart = false;    ///< throw away what an unfinished run left
  RowForm form = {};       ///< in which the rows are written
  bool overwrite = false;  ///< replace a finished output, once the new one is complete
  std::chrono::milliseconds sync_interval{1000};  ///< at most so much work is at risk
  Files* files = &real_files();
};

/// A regular file gets a journal beside it (PATH.trireme-journal) while the job runs, and appears,
/// whole, when it is finished. Standard output, pipes and devices are written in order as rows
/// finish. With shards the output is a folder. Throws Error(usage) when the output exists, or is
/// being written by another run, or an unfinished one is of another job.
std::unique_ptr<RowOutput> open_output(const OutputOptions& options);

/// Where the journal of an output lies: for messages.
std::string journal_path(const std::string& output);

/// Throws Error(usage) if the input is a file that the run would destroy: the output, or one that
/// the run writes beside it.
void check_distinct(const std::string& input, const std::string& output);

}  // namespace trireme
