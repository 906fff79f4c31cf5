#include "batch/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "batch/final_output.h"
#include "batch/journal.h"
#include "batch/output_file.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto sync_interval = std::chrono::seconds(1);

/// Lines in order to something that cannot be taken back; those ahead of their turn wait in memory.
class StreamOutput : public RowOutput {
 public:
  StreamOutput(OutputFile file, std::int64_t now) : file_(std::move(file)), started_(now) {}

  std::int64_t started() const override { return started_; }
  bool resumable() const override { return false; }
  std::uint64_t resumed_rows() const override { return 0; }
  bool has(const RawRow& row) override { return row.index < next_ || waiting_.contains(row.index); }

  void write(const RawRow& row, std::string_view line, bool failed) override {
    if (has(row)) return;
    failed_rows_ += failed ? 1 : 0;
    waiting_bytes_ += line.size();
    waiting_.emplace(row.index, line);
    std::string ready;
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
         first = waiting_.erase(first), ++next_) {
      ready.append(first->second).append("\n");
      waiting_bytes_ -= first->second.size();
    }
    file_.write(ready,
                "the rows after the last whole line are lost; write to a file to be able to "
                "resume");
  }

  void tick() override {}
  void finish(std::uint64_t total_rows) override {
    TRIREME_ASSERT(waiting_.empty() && next_ == total_rows);
  }
  std::uint64_t failed_rows() const override { return failed_rows_; }
  std::uint64_t pending_bytes() const override { return waiting_bytes_; }

 private:
  OutputFile file_;
  std::int64_t started_ = 0;
  std::map<std::uint64_t, std::string> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t failed_rows_ = 0;
};

bool exists(Files& files, const fs::path& path) { return files.kind(path) != Files::Kind::absent; }

[[noreturn]] void fail_existing(const std::string& path) {
  fail(ErrorKind::usage, "-o {}: the file exists; replace it with --overwrite, or choose another",
       path);
}

/// Lines to a journal as they come; at the end, in order, to a file that then takes its name.
class Ledger : public RowOutput {
 public:
  Ledger(const fs::path& target, const OutputOptions& options)
      : files_(*options.files),
        target_(target),
        journal_(files_, journal_path(target.string()), options.job, options.now, options.restart),
        answered_before_(journal_.cursor()),
        resumed_rows_(journal_.rows()) {
    // Another run may have finished since the output was looked for.
    if (!journal_.is_new() || options.overwrite || !exists(files_, target_)) return;
    journal_.remove();
    fail_existing(options.path);
  }

  std::int64_t started() const override { return journal_.started(); }
  bool resumable() const override { return true; }
  std::uint64_t resumed_rows() const override { return resumed_rows_; }

  bool has(const RawRow& row) override {
    if (!journal_.has(row.index)) return false;
    if (answered_before_.seek(row.index).row_hash == row.hash()) return true;
    fail(ErrorKind::usage,
         "line {} of the input is not what it was when this job began (row {} was already "
         "answered); "
         "restore the input, or begin anew with --restart",
         row.line, row.index);
  }

  void write(const RawRow& row, std::string_view line, bool failed) override {
    journal_.append({row.index, row.hash(), failed, std::string(line)});
    synced_ = false;
    tick();
  }

  void tick() override {
    if (synced_ || Clock::now() - last_sync_ < sync_interval) return;
    journal_.sync();
    synced_ = true;
    last_sync_ = Clock::now();
  }

  void finish(std::uint64_t total_rows) override {
    if (journal_.row_limit() > total_rows) {
      fail(ErrorKind::usage,
           "the input has {} rows, but row {} was answered when this job began; restore the input, "
           "or "
           "begin anew with --restart",
           total_rows, journal_.row_limit() - 1);
    }
    TRIREME_ASSERT(journal_.rows() == total_rows);
    journal_.sync();
    const auto output =
        open_final_output({.path = target_, .advice = advice(total_rows), .files = &files_});
    Journal::Cursor cursor = journal_.cursor();
    for (std::uint64_t row = 0; row < total_rows; ++row) {
      const JournalRecord& record = cursor.seek(row);
      output->add(record.line, record.failed);
    }
    output->commit();
    journal_.remove();
  }

  std::uint64_t failed_rows() const override { return journal_.failed_rows(); }
  std::uint64_t pending_bytes() const override { return 0; }

 private:
  std::string advice(std::uint64_t total_rows) const {
    return fmt::format(
        "the output needs {} bytes in all; every row is safe in {}: free some space and run the "
        "same command again",
        journal_.line_bytes() + total_rows, journal_path(target_.string()));
  }

  Files& files_;
  fs::path target_;
  Journal journal_;
  Journal::Cursor answered_before_;
  std::uint64_t resumed_rows_ = 0;
  bool synced_ = true;
  Clock::time_point last_sync_ = Clock::now();
};

}  // namespace

std::string journal_path(const std::string& output) { return output + ".trireme-journal"; }

std::unique_ptr<RowOutput> open_output(const OutputOptions& options) {
  if (options.path == "-") {
    return std::make_unique<StreamOutput>(OutputFile(STDOUT_FILENO, "standard output"),
                                          options.now);
  }
  Files& files = *options.files;
  const Files::Kind kind = files.kind(options.path);
  if (kind == Files::Kind::directory) {
    fail(ErrorKind::usage, "-o {}: this is a directory; name a file in it", options.path);
  }
  if (kind == Files::Kind::other) {
    return std::make_unique<StreamOutput>(OutputFile(options.path, O_WRONLY), options.now);
  }
  // Two names of one file must meet at one journal.
  const fs::path path = files.resolve(options.path);
  const bool unfinished = exists(files, journal_path(path.string()));
  if (kind == Files::Kind::regular && (!unfinished || options.restart) && !options.overwrite) {
    fail_existing(options.path);
  }
  return std::make_unique<Ledger>(path, options);
}

void check_distinct(const std::string& input, const std::string& output) {
  std::error_code error;
  if (input == "-" || output == "-" || !fs::equivalent(input, output, error)) return;
  if (!fs::is_regular_file(output, error)) return;
  fail(ErrorKind::usage, "-o {}: this is the input; choose another file", output);
}

}  // namespace trireme
