// What a journal's bytes mean: its head, and its records one after the other.
//
// Layout, little-endian: "TRIREMEJ", u32 version, u32 length of the job's description, i64 when the
// job began, u32 CRC-32C of that time and the description, u32 0, the description; then records
// {u32 magic, u32 CRC-32C of the rest, u64 row, u64 hash of the input row, u32 flags, u32 length,
// the output line}. A record's CRC continues the head's: what a disk may still hold of another
// journal in this place is no record of this one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "batch/files.h"

namespace trireme {

inline constexpr std::uint32_t journal_version = 3;

struct JournalHead {
  std::int64_t started = 0;  ///< when the job began, in seconds since the epoch
  std::string job;           ///< its description

  std::uint64_t bytes() const;
  std::uint32_t crc() const;  ///< with which the records' continue
};

std::string encode(const JournalHead& head);

enum class HeadState {
  sound,
  unfinished,  ///< whoever made it was killed, or lost its power, before it was whole: no records
  other_version,
  damaged,  ///< or no journal at all
};
/// `version` is what the file says it is.
struct ReadHead {
  HeadState state = HeadState::unfinished;
  JournalHead head;
  std::uint32_t version = 0;
};
/// `longest`: how many bytes a head can take that the same command has left unfinished.
ReadHead read_journal_head(const File& file, std::uint64_t longest);

struct JournalRecord {
  std::uint64_t row = 0;
  std::uint64_t row_hash = 0;  ///< of the input row that it answers
  bool failed = false;
  std::string line;

  std::uint64_t bytes() const;
};

std::string encode(const JournalRecord& record, std::uint32_t head_crc);

/// Reads records from front to back through a large buffer.
class JournalScanner {
 public:
  /// Of the file's bytes from `offset` to `end`.
  JournalScanner(const File& file, std::uint64_t offset, std::uint64_t end, std::uint32_t head_crc)
      : file_(&file), offset_(offset), end_(end), head_crc_(head_crc) {}

  /// The next record. False at the end, and at the first that is torn or damaged.
  bool next(JournalRecord& record);
  /// Where the next record begins.
  std::uint64_t offset() const { return offset_; }

  /// The record that begins at `offset`, wherever next() is. False if it is not there.
  bool read_at(std::uint64_t offset, JournalRecord& record);

 private:
  template <typename Fetch>
  bool parse(std::uint64_t offset, JournalRecord& record, Fetch fetch) const;
  bool buffered(std::uint64_t offset, std::uint64_t bytes) const;
  std::string_view from_buffer(std::uint64_t offset, std::uint64_t bytes);
  std::string_view from_file(std::uint64_t offset, std::uint64_t bytes);

  const File* file_;
  std::uint64_t offset_;
  std::uint64_t end_;
  std::uint32_t head_crc_;
  std::string buffer_;  ///< the bytes from buffer_begin_ on
  std::uint64_t buffer_begin_ = 0;
  std::string apart_;  ///< bytes that are not in the buffer
};

}  // namespace trireme
