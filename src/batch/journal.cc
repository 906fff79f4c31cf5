#include "batch/journal.h"

#include <fmt/chrono.h>

#include <chrono>
#include <thread>

#include "batch/fail_point.h"
#include "batch/job_identity.h"
#include "core/error.h"

namespace trireme {

namespace {

/// Rows finish out of order, but not by more: sixteen times as far as the coordinator looks ahead.
constexpr std::uint64_t widest_gap = std::uint64_t{1} << 20;
constexpr std::string_view full_disk_advice =
    "the rows finished so far are safe; free some space and run the same command again to go on";

std::string date_of(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "another day";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", parts);
}

}  // namespace

Journal::Journal(Files& files, const std::filesystem::path& path, const std::string& job,
                 std::int64_t now, bool restart)
    : files_(files), path_(path) {
  do {  // a run that just finished may have removed the file between our opening and locking it
    fail_point("journal.create.before");
    file_ = files_.open(path, Opening::keep);
    fail_point("journal.create.after");
    lock();
  } while (!file_->still_named());
  if (restart || !load(job)) start(job, now);
}

void Journal::lock() const {
  // A run that was killed a moment ago may still be on its way out, with all its ranks.
  constexpr int attempts = 20;
  constexpr std::chrono::milliseconds pause{50};
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (file_->try_lock()) return;
    std::this_thread::sleep_for(pause);
  }
  fail(ErrorKind::usage,
       "{}: another run is writing this output; wait for it, stop it, or choose another -o",
       file_->name());
}

void Journal::start(const std::string& job, std::int64_t now) {
  head_ = {now, job};
  is_new_ = true;
  if (file_->size() > 0) {  // what was there must not come back behind the new head
    file_->truncate(0);
    file_->sync();
  }
  fail_point("journal.head.before");
  file_->write_at(0, encode(head_), "free some space or choose another place");
  fail_point("journal.head.after");
  fail_point("journal.head.sync.before");
  file_->sync();
  fail_point("journal.head.sync.after");
  fail_point("journal.directory.sync.before");
  files_.sync_directory_of(path_);
  fail_point("journal.directory.sync.after");
  end_ = durable_end_ = head_.bytes();
}

void Journal::check_job(const std::string& job) const {
  const std::string differences = describe_differences(head_.job, job);
  if (differences.empty()) return;
  const bool dated = head_.job.find("\nchat=true\n") != std::string::npos;
  fail(ErrorKind::usage,
       "{}: this unfinished output belongs to another job ({}); finish it with the flags and files "
       "it was begun with, or begin anew with --restart{}, or choose another -o",
       file_->name(), differences,
       dated ? fmt::format(" (chat templates then see today's date, not that of {})",
                           date_of(head_.started))
             : "");
}

bool Journal::load(const std::string& job) {
  ReadHead read = read_journal_head(*file_, JournalHead{0, job}.bytes());
  switch (read.state) {
    case HeadState::unfinished:
      return false;
    case HeadState::other_version:
      fail(ErrorKind::usage,
           "{}: begun by another version of Trireme (journal version {}, this one's is {}), which "
           "might have given other bytes; finish it with that version, or begin anew with "
           "--restart, or choose another -o",
           file_->name(), read.version, journal_version);
    case HeadState::damaged:
      fail(ErrorKind::input, "{}: not a journal of Trireme, or damaged; begin anew with --restart",
           file_->name());
    case HeadState::sound:
      break;
  }
  head_ = std::move(read.head);
  if (holds_nothing() && !describe_differences(head_.job, job).empty()) return false;
  check_job(job);
  load_records();
  return true;
}

/// A job that failed before its first row leaves nothing that could be lost. Whatever stands behind
/// the head, damaged too, may be rows.
bool Journal::holds_nothing() const { return file_->size() <= head_.bytes(); }

void Journal::load_records() {
  const std::uint64_t file_size = file_->size();
  JournalScanner scanner(*file_, head_.bytes(), file_size, head_.crc());
  for (JournalRecord record; scanner.next(record);) {
    if (record.row > finished_ + widest_gap) {
      fail(ErrorKind::input, "{}: damaged (row {} after {} rows); begin anew with --restart",
           file_->name(), record.row, rows());
    }
    note(record);
  }
  end_ = scanner.offset();
  if (end_ < file_size) {
    fail_point("journal.cut.before");
    file_->truncate(end_);
    fail_point("journal.cut.after");
  }
  // Whoever wrote these may have been killed before they were durable, and before the file's name
  // was.
  file_->sync();
  files_.sync_directory_of(path_);
  durable_end_ = end_;
}

void Journal::note(const JournalRecord& record) {
  if (has(record.row)) return;
  ahead_.insert(record.row);
  while (!ahead_.empty() && *ahead_.begin() == finished_) {
    ahead_.erase(ahead_.begin());
    ++finished_;
  }
  failed_rows_ += record.failed ? 1 : 0;
  line_bytes_ += record.line.size();
}

void Journal::give_up(const std::string& message) {
  broken_ = message;
  fail(ErrorKind::resource, "{}", message);
}

/// A full disk has room for what it holds.
void Journal::keep_whole_records() {
  try {
    file_->truncate(end_);
    file_->sync_data();
  } catch (const Error&) {
    keep_durable_records();
  }
}

/// What a disk failed to take may still be seen in memory, by the next run too, and is gone with
/// it.
void Journal::keep_durable_records() {
  try {
    file_->truncate(durable_end_);
  } catch (const Error&) {  // what is wrong with the disk is on its way already
  }
}

void Journal::append(const JournalRecord& record) {
  if (!broken_.empty()) fail(ErrorKind::resource, "{}", broken_);
  if (has(record.row)) return;
  TRIREME_ASSERT(record.row <= finished_ + widest_gap);
  try {
    fail_point("journal.append.before");
    file_->write_at(end_, encode(record, head_.crc()), full_disk_advice);
    fail_point("journal.append.after");
  } catch (const Error& error) {
    keep_whole_records();
    give_up(error.what());
  }
  note(record);
  end_ += record.bytes();
}

void Journal::sync() {
  if (!broken_.empty()) fail(ErrorKind::resource, "{}", broken_);
  try {
    fail_point("journal.sync.before");
    file_->sync_data();
    fail_point("journal.sync.after");
  } catch (const Error& error) {
    keep_durable_records();
    give_up(
        fmt::format("{}; the rows of about the last second are given up, those before are "
                    "safe; see to the disk and run the same command again to go on",
                    error.what()));
  }
  durable_end_ = end_;
}

void Journal::remove() {
  fail_point("journal.remove.before");
  files_.remove(path_);
  fail_point("journal.remove.after");
  fail_point("journal.gone.sync.before");
  files_.sync_directory_of(path_);
  fail_point("journal.gone.sync.after");
}

Journal::Cursor::Cursor(const File& file, const JournalHead& head, std::uint64_t end)
    : file_(&file), scanner_(file, head.bytes(), end, head.crc()) {}

const JournalRecord& Journal::Cursor::seek(std::uint64_t row) {
  TRIREME_ASSERT(row >= next_);
  next_ = row + 1;
  places_.erase(places_.begin(), places_.lower_bound(row));
  bool found = false;
  if (const auto place = places_.extract(row)) {
    found = scanner_.read_at(place.mapped(), record_) && record_.row == row;
  } else {
    std::uint64_t offset = scanner_.offset();
    for (; !found && scanner_.next(record_); offset = scanner_.offset()) {
      found = record_.row == row;
      if (record_.row > row) places_.emplace(record_.row, offset);
    }
  }
  if (!found) {
    fail(ErrorKind::input,
         "{}: the record of row {} has changed on disk; begin anew with --restart", file_->name(),
         row);
  }
  return record_;
}

}  // namespace trireme
