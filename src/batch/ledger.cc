#include "batch/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "batch/error_file.h"
#include "batch/final_output.h"
#include "batch/journal.h"
#include "batch/output_file.h"
#include "batch/sharded_output.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// What a writer has written goes out at once, a whole row at least.
class StreamSink : public ByteSink {
 public:
  explicit StreamSink(OutputFile file) : file_(std::move(file)) {}
  void write(std::string_view bytes) override { ready_.append(bytes); }
  void flush() {
    file_.write(ready_,
                "the rows after the last whole line are lost; write to a file to be able to "
                "resume");
    ready_.clear();
  }

 private:
  OutputFile file_;
  std::string ready_;
};

/// Lines in order to something that cannot be taken back; those ahead of their turn wait in memory.
class StreamOutput : public RowOutput {
 public:
  StreamOutput(OutputFile file, const OutputOptions& options)
      : sink_(std::move(file)),
        writer_(open_row_writer(options.form, sink_)),
        started_(options.now) {}

  std::int64_t started() const override { return started_; }
  bool resumable() const override { return false; }
  std::uint64_t resumed_rows() const override { return 0; }
  bool has(const RawRow& row) override { return row.index < next_ || waiting_.contains(row.index); }

  void write(const RawRow& row, std::string_view line, bool failed) override {
    if (has(row)) return;
    failed_rows_ += failed ? 1 : 0;
    waiting_bytes_ += line.size();
    waiting_.emplace(row.index, line);
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
         first = waiting_.erase(first), ++next_) {
      writer_->add(first->second);
      waiting_bytes_ -= first->second.size();
    }
    sink_.flush();
  }

  void tick() override {}
  void finish(std::uint64_t total_rows) override {
    TRIREME_ASSERT(waiting_.empty() && next_ == total_rows);
    writer_->finish();
    sink_.flush();
  }
  std::uint64_t failed_rows() const override { return failed_rows_; }
  std::uint64_t pending_bytes() const override { return waiting_bytes_; }

 private:
  StreamSink sink_;
  std::unique_ptr<RowWriter> writer_;
  std::int64_t started_ = 0;
  std::map<std::uint64_t, std::string> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t failed_rows_ = 0;
};

bool exists(Files& files, const fs::path& path) { return files.kind(path) != Files::Kind::absent; }

[[noreturn]] void fail_existing(const std::string& path) {
  fail(ErrorKind::usage, "-o {}: it exists; replace it with --overwrite, or choose another", path);
}

/// Lines to a journal as they come; at the end, in order, to a file that then takes its name.
class Ledger : public RowOutput {
 public:
  Ledger(const fs::path& target, const OutputOptions& options)
      : files_(*options.files),
        sync_interval_(options.sync_interval),
        target_(target),
        form_(options.form),
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
         "{} of the input is not what it was when this job began (row {} was already answered); "
         "restore the input, or begin anew with --restart",
         row.place(), row.index);
  }

  void write(const RawRow& row, std::string_view line, bool failed) override {
    journal_.append({row.index, row.hash(), failed, std::string(line)});
    synced_ = false;
    tick();
  }

  void tick() override {
    if (synced_ || Clock::now() - last_sync_ < sync_interval_) return;
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
    const auto output = open_final_output({.path = target_,
                                           .advice = advice(total_rows),
                                           .files = &files_,
                                           .form = form_,
                                           .total_rows = total_rows});
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
  Clock::duration sync_interval_;
  fs::path target_;
  RowForm form_;
  Journal journal_;
  Journal::Cursor answered_before_;
  std::uint64_t resumed_rows_ = 0;
  bool synced_ = true;
  Clock::time_point last_sync_ = Clock::now();
};

/// Of what stands where a folder of shards is to be.
void check_replaceable(const std::string& path, Files::Kind kind) {
  if (kind == Files::Kind::absent) return;
  if (kind != Files::Kind::directory) {
    fail(ErrorKind::usage, "-o {}: this is a file, and --shards makes a folder; name another",
         path);
  }
  const std::string foreign = foreign_file_in(path);
  if (foreign.empty()) return;
  fail(ErrorKind::usage,
       "-o {}: this folder holds other files than shards ({}), which would be lost; name another",
       path, foreign);
}

}  // namespace

std::string journal_path(const std::string& output) { return output + ".trireme-journal"; }

std::unique_ptr<RowOutput> open_output(const OutputOptions& options) {
  if (options.path == "-") {
    return std::make_unique<StreamOutput>(OutputFile(STDOUT_FILENO, "standard output"), options);
  }
  Files& files = *options.files;
  const Files::Kind kind = files.kind(options.path);
  const bool sharded = options.form.format.shards > 0;
  if (kind == Files::Kind::directory && !sharded) {
    fail(ErrorKind::usage, "-o {}: this is a directory; name a file in it, or --shards",
         options.path);
  }
  if (sharded) check_replaceable(options.path, kind);
  if (kind == Files::Kind::other) {
    return std::make_unique<StreamOutput>(OutputFile(options.path, O_WRONLY), options);
  }
  // Two names of one file must meet at one journal.
  const fs::path path = files.resolve(options.path);
  const bool unfinished = exists(files, journal_path(path.string()));
  if (kind != Files::Kind::absent && (!unfinished || options.restart) && !options.overwrite) {
    fail_existing(options.path);
  }
  return std::make_unique<Ledger>(path, options);
}

void check_distinct(const std::string& input, const std::string& output) {
  if (input == "-" || output == "-") return;
  std::error_code error;
  if (fs::equivalent(input, output, error) && fs::is_regular_file(output, error)) {
    fail(ErrorKind::usage, "-o {}: this is the input; choose another file", output);
  }
  fs::path path = fs::weakly_canonical(output, error);
  if (error) path = output;
  for (const std::string& beside :
       {path.string() + ".partial", journal_path(path.string()), error_file_of(path).string()}) {
    if (!fs::equivalent(input, beside, error)) continue;
    fail(ErrorKind::usage,
         "-o {}: the input {} has the name of a file that the job writes beside its output; choose "
         "another -o",
         output, input);
  }
}

}  // namespace trireme
