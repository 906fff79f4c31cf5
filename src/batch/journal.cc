#include "batch/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "core/hash.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

namespace {

constexpr std::string_view file_magic = "TRIREMEJ";
constexpr std::uint32_t version = 2;
constexpr std::uint32_t record_magic = 0x31574f52;  // "ROW1"
constexpr std::uint32_t failed_flag = 1;
constexpr std::uint32_t job_limit = 16u << 20;
/// Rows finish out of order, but not by more: the coordinator's look-ahead is far below this.
constexpr std::uint64_t widest_gap = std::uint64_t{1} << 24;
constexpr std::string_view full_disk_advice =
    "the rows finished so far are safe; free some space and run the same command again to go on";

struct FileHead {
  char magic[8];
  std::uint32_t version;
  std::uint32_t job_bytes;
  std::int64_t started;
  std::uint32_t crc;  ///< of the field above and the description
  std::uint32_t unused;
};
static_assert(sizeof(FileHead) == 32);

struct RecordHead {
  std::uint32_t magic;
  std::uint32_t crc;  ///< of the fields below and the line
  std::uint64_t row;
  std::uint64_t row_hash;
  std::uint32_t flags;
  std::uint32_t line_bytes;
};
static_assert(sizeof(RecordHead) == 32);

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::uint32_t crc_of(std::int64_t started, std::string_view job) {
  return crc32c(job, crc32c(bytes_of(started)));
}

std::uint32_t crc_of(const RecordHead& head, std::string_view line) {
  constexpr std::size_t skipped = 8;  // magic and crc
  return crc32c(line, crc32c(bytes_of(head).substr(skipped)));
}

/// Reads a file from front to back through a large buffer.
class Scanner {
 public:
  Scanner(const OutputFile& file, std::uint64_t offset) : file_(file), offset_(offset) {}

  /// False if the file ends before.
  bool read(char* out, std::size_t bytes) {
    while (bytes > 0) {
      if (position_ == buffer_.size() && !refill()) return false;
      const std::size_t count = std::min(bytes, buffer_.size() - position_);
      std::memcpy(out, buffer_.data() + position_, count);
      position_ += count;
      out += count;
      bytes -= count;
    }
    return true;
  }

 private:
  bool refill() {
    buffer_.resize(std::size_t{1} << 20);
    buffer_.resize(file_.read_at(offset_, buffer_.data(), buffer_.size()));
    offset_ += buffer_.size();
    position_ = 0;
    return !buffer_.empty();
  }

  const OutputFile& file_;
  std::uint64_t offset_;
  std::string buffer_;
  std::size_t position_ = 0;
};

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// The first line of `text` that `other` lacks.
std::string_view first_difference(std::string_view text, std::string_view other) {
  const std::vector<std::string_view> others = split_lines(other);
  for (const std::string_view line : split_lines(text)) {
    if (std::ranges::find(others, line) == others.end()) return line;
  }
  return "nothing";
}

bool same_file(int fd, const std::filesystem::path& path) {
  struct stat held {
  }, named{};
  return fstat(fd, &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

Journal::Journal(const std::filesystem::path& path, const std::string& job, std::int64_t now,
                 bool restart)
    : path_(path) {
  TRIREME_ASSERT(job.size() <= job_limit);
  do {  // a run that just finished may have removed the file between our opening and locking it
    file_ = OutputFile(path, O_RDWR | O_CREAT);
    lock();
  } while (!same_file(file_.fd(), path));
  if (restart || !load(job)) start(job, now);
}

void Journal::lock() const {
  // A run that was killed a moment ago may still be on its way out, with all its ranks.
  constexpr int attempts = 20;
  constexpr std::chrono::milliseconds pause{50};
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (flock(file_.fd(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    std::this_thread::sleep_for(pause);
  }
  fail(ErrorKind::usage,
       "{}: another run is writing this output; wait for it, stop it, or choose another -o",
       file_.name());
}

void Journal::start(const std::string& job, std::int64_t now) {
  file_.truncate(0);
  FileHead head{{}, version, static_cast<std::uint32_t>(job.size()), now, crc_of(now, job), 0};
  file_magic.copy(head.magic, sizeof(head.magic));
  file_.write_at(0, std::string(bytes_of(head)) + job, "free some space or choose another place");
  file_.sync_data();
  sync_directory_of(path_);
  started_ = now;
  end_ = sizeof(FileHead) + job.size();
}

void Journal::check_job(std::string_view stored, std::string_view wanted) const {
  if (stored == wanted) return;
  fail(ErrorKind::usage,
       "{}: this unfinished output belongs to another job (then: {}; now: {}); finish it with the "
       "flags "
       "it was begun with, or begin anew with --restart, or choose another -o",
       file_.name(), first_difference(stored, wanted), first_difference(wanted, stored));
}

bool Journal::load(const std::string& job) {
  FileHead head{};
  Scanner scanner(file_, 0);
  if (!scanner.read(reinterpret_cast<char*>(&head), sizeof(head))) return false;
  bool sound = std::string_view(head.magic, sizeof(head.magic)) == file_magic &&
               head.version == version && head.job_bytes <= job_limit;
  std::string stored(sound ? head.job_bytes : 0, '\0');
  if (!scanner.read(stored.data(), stored.size())) return false;
  sound = sound && crc_of(head.started, stored) == head.crc;
  if (!sound) {
    fail(ErrorKind::input,
         "{}: not a journal of this version of Trireme, or damaged; begin anew with --restart",
         file_.name());
  }
  check_job(stored, job);
  started_ = head.started;
  end_ = sizeof(FileHead) + stored.size();
  const std::uint64_t file_size = file_.size();
  std::string line;
  for (RecordHead record{}; scanner.read(reinterpret_cast<char*>(&record), sizeof(record));) {
    if (record.magic != record_magic || record.line_bytes > file_size - end_) break;
    line.resize(record.line_bytes);
    if (!scanner.read(line.data(), line.size()) || crc_of(record, line) != record.crc) break;
    if (record.row > rows_ + widest_gap) {
      fail(ErrorKind::input, "{}: damaged (row {} after {} rows); begin anew with --restart",
           file_.name(), record.row, rows_);
    }
    note(record.row, end_, (record.flags & failed_flag) != 0, line.size());
    end_ += sizeof(record) + line.size();
  }
  file_.truncate(end_);
  return true;
}

void Journal::note(std::uint64_t row, std::uint64_t offset, bool failed, std::size_t line_bytes) {
  if (has(row)) return;
  if (row >= offsets_.size()) offsets_.resize(row + 1, 0);
  offsets_[row] = offset;
  ++rows_;
  failed_rows_ += failed ? 1 : 0;
  line_bytes_ += line_bytes;
}

std::uint64_t Journal::row_hash(std::uint64_t row) const {
  TRIREME_ASSERT(has(row));
  RecordHead head{};
  file_.read_at(offsets_[row], reinterpret_cast<char*>(&head), sizeof(head));
  return head.row_hash;
}

Journal::Record Journal::read(std::uint64_t row) const {
  TRIREME_ASSERT(has(row));
  // Most lines are short: one read fetches the head and the line.
  std::string bytes(4096, '\0');
  bytes.resize(file_.read_at(offsets_[row], bytes.data(), bytes.size()));
  RecordHead head{};
  bytes.resize(std::max(bytes.size(), sizeof(head)));
  std::memcpy(&head, bytes.data(), sizeof(head));
  const std::size_t record_bytes = sizeof(head) + head.line_bytes;
  const std::size_t have = bytes.size();
  bool sound =
      head.magic == record_magic && head.row == row && offsets_[row] + record_bytes <= end_;
  if (sound && have < record_bytes) {
    bytes.resize(record_bytes);
    file_.read_at(offsets_[row] + have, bytes.data() + have, record_bytes - have);
  }
  const std::string_view line = std::string_view(bytes).substr(sizeof(head), head.line_bytes);
  if (!sound || crc_of(head, line) != head.crc) {
    fail(ErrorKind::input,
         "{}: the record of row {} has changed on disk; begin anew with --restart", file_.name(),
         row);
  }
  return {head.row_hash, (head.flags & failed_flag) != 0, std::string(line)};
}

void Journal::append(std::uint64_t row, const Record& record) {
  if (has(row)) return;
  TRIREME_ASSERT(record.line.size() <= UINT32_MAX && row <= rows_ + widest_gap);
  RecordHead head{record_magic,
                  0,
                  row,
                  record.row_hash,
                  record.failed ? failed_flag : 0,
                  static_cast<std::uint32_t>(record.line.size())};
  head.crc = crc_of(head, record.line);
  std::string bytes(bytes_of(head));
  bytes += record.line;
  try {
    file_.write_at(end_, bytes, full_disk_advice);
  } catch (const Error&) {
    file_.truncate(end_);
    throw;
  }
  note(row, end_, record.failed, record.line.size());
  end_ += bytes.size();
}

void Journal::remove() {
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) {
    fail(ErrorKind::resource, "{}: cannot remove: {}", file_.name(), std::strerror(errno));
  }
  sync_directory_of(path_);
}

}  // namespace trireme
