#include "batch/journal_records.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "core/hash.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

namespace {

constexpr std::string_view file_magic = "TRIREMEJ";
constexpr std::uint32_t record_magic = 0x31574f52;  // "ROW1"
constexpr std::uint32_t failed_flag = 1;
constexpr std::uint32_t job_limit = 16u << 20;
constexpr std::uint64_t buffer_bytes = std::uint64_t{1} << 20;
/// Of these, bytes before the record that is wanted: rows finish out of order, but not by much, so
/// that most of those that are asked for again lie there.
constexpr std::uint64_t look_back = std::uint64_t{256} << 10;

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

std::uint32_t crc_of(const RecordHead& head, std::string_view line, std::uint32_t head_crc) {
  constexpr std::size_t skipped = 8;  // magic and crc
  return crc32c(line, crc32c(bytes_of(head).substr(skipped), head_crc));
}

}  // namespace

std::uint64_t JournalHead::bytes() const { return sizeof(FileHead) + job.size(); }
std::uint32_t JournalHead::crc() const { return crc32c(job, crc32c(bytes_of(started))); }
std::uint64_t JournalRecord::bytes() const { return sizeof(RecordHead) + line.size(); }

std::string encode(const JournalHead& head) {
  TRIREME_ASSERT(head.job.size() <= job_limit);
  FileHead bytes{{},           journal_version, static_cast<std::uint32_t>(head.job.size()),
                 head.started, head.crc(),      0};
  file_magic.copy(bytes.magic, sizeof(bytes.magic));
  return std::string(bytes_of(bytes)) + head.job;
}

ReadHead read_journal_head(const File& file, std::uint64_t longest) {
  FileHead bytes{};
  ReadHead read;
  const std::size_t got = file.read_at(0, reinterpret_cast<char*>(&bytes), sizeof(bytes));
  if (got < sizeof(bytes)) return read;
  const std::string_view magic(bytes.magic, sizeof(bytes.magic));
  const bool ours = magic == file_magic;
  read.version = bytes.version;
  if (ours && bytes.version != journal_version) {
    read.state = HeadState::other_version;
    return read;
  }
  read.head.started = bytes.started;
  if (ours && bytes.job_bytes <= job_limit && sizeof(bytes) + bytes.job_bytes <= file.size()) {
    read.head.job.resize(bytes.job_bytes);
    file.read_at(sizeof(bytes), read.head.job.data(), read.head.job.size());
    if (read.head.crc() == bytes.crc) {
      read.state = HeadState::sound;
      return read;
    }
  }
  // The head is durable before the first record is written: where it is not, there is none. What a
  // power failure has left of it may hold zeros.
  const bool zeros = magic == std::string_view("\0\0\0\0\0\0\0\0", 8);
  const bool may_be_ours = (ours || zeros) && file.size() <= longest;
  read.state = may_be_ours ? HeadState::unfinished : HeadState::damaged;
  return read;
}

std::string encode(const JournalRecord& record, std::uint32_t head_crc) {
  TRIREME_ASSERT(record.line.size() <= UINT32_MAX);
  RecordHead head{record_magic,
                  0,
                  record.row,
                  record.row_hash,
                  record.failed ? failed_flag : 0,
                  static_cast<std::uint32_t>(record.line.size())};
  head.crc = crc_of(head, record.line, head_crc);
  return std::string(bytes_of(head)) + record.line;
}

bool JournalScanner::next(JournalRecord& record) {
  const auto fetch = [this](std::uint64_t at, std::uint64_t bytes) {
    return from_buffer(at, bytes);
  };
  if (!parse(offset_, record, fetch)) return false;
  offset_ += record.bytes();
  return true;
}

bool JournalScanner::read_at(std::uint64_t offset, JournalRecord& record) {
  return parse(offset, record, [this](std::uint64_t at, std::uint64_t bytes) {
    return buffered(at, bytes) ? from_buffer(at, bytes) : from_file(at, bytes);
  });
}

/// `fetch(offset, bytes)` returns so many bytes, or fewer where the file has fewer.
template <typename Fetch>
bool JournalScanner::parse(std::uint64_t offset, JournalRecord& record, Fetch fetch) const {
  RecordHead head{};
  if (offset > end_ || end_ - offset < sizeof(head)) return false;
  const std::string_view head_bytes = fetch(offset, sizeof(head));
  if (head_bytes.size() < sizeof(head)) return false;
  std::memcpy(&head, head_bytes.data(), sizeof(head));
  if (head.magic != record_magic || head.line_bytes > end_ - offset - sizeof(head)) return false;
  std::string_view bytes = fetch(offset, sizeof(head) + head.line_bytes);
  if (bytes.size() < sizeof(head) + head.line_bytes) return false;
  bytes.remove_prefix(sizeof(head));
  if (crc_of(head, bytes, head_crc_) != head.crc) return false;
  record.row = head.row;
  record.row_hash = head.row_hash;
  record.failed = (head.flags & failed_flag) != 0;
  record.line = bytes;
  return true;
}

bool JournalScanner::buffered(std::uint64_t offset, std::uint64_t bytes) const {
  return offset >= buffer_begin_ && offset - buffer_begin_ + bytes <= buffer_.size();
}

std::string_view JournalScanner::from_buffer(std::uint64_t offset, std::uint64_t bytes) {
  if (!buffered(offset, bytes)) {
    buffer_begin_ = offset - std::min(offset, look_back);
    const std::uint64_t before = offset - buffer_begin_;
    buffer_.resize(before + std::max(bytes, std::min(buffer_bytes - before, end_ - offset)));
    buffer_.resize(file_->read_at(buffer_begin_, buffer_.data(), buffer_.size()));
  }
  const std::uint64_t begin = std::min<std::uint64_t>(offset - buffer_begin_, buffer_.size());
  return std::string_view(buffer_).substr(begin, bytes);
}

std::string_view JournalScanner::from_file(std::uint64_t offset, std::uint64_t bytes) {
  apart_.resize(bytes);
  apart_.resize(file_->read_at(offset, apart_.data(), bytes));
  return apart_;
}

}  // namespace trireme
