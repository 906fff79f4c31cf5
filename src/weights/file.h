// Files as weights are read and written: positioned reads that notice truncation, and a file that
// appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

namespace trireme {

/// What changes when somebody writes into a file.
struct FileStamp {
  std::string name;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  ///< since the epoch

  bool operator==(const FileStamp&) const = default;
};

/// A regular file opened for reading. Reads are thread-safe.
class InputFile {
 public:
  /// Throws Error(input) if there is none or it is no regular file, Error(resource) if it may not
  /// be read.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& name() const { return name_; }
  /// When it was opened.
  std::uint64_t size() const { return size_; }
  /// Fills `out` with the bytes [offset, offset + bytes). Throws Error(input) if the file is
  /// shorter.
  void read(std::uint64_t offset, std::byte* out, std::size_t bytes) const;
  /// Tells the kernel that the bytes are wanted soon, so that scattered reads find them in memory.
  void will_read(std::uint64_t offset, std::uint64_t bytes) const;
  /// As the open file is now, whatever goes by its name meanwhile. Throws Error(resource).
  FileStamp stamp() const;

 private:
  friend class FileMap;
  std::string name_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// All of a file in memory, read-only and shared with whoever maps it, too. Who shortens the file
/// in place makes reading beyond its new end a SIGBUS: for files that are only ever replaced.
class FileMap {
 public:
  /// Throws Error(resource).
  explicit FileMap(const InputFile& file);
  ~FileMap();
  FileMap(FileMap&& other) noexcept { *this = std::move(other); }
  FileMap& operator=(FileMap&& other) noexcept;
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Brings [offset, offset + bytes) into memory and its addresses into the page table, for less
  /// than a fault for each page. False if the file has no such bytes any more, or a disk does not
  /// give them.
  bool populate(std::uint64_t offset, std::size_t bytes) const;
  /// Lets a disk begin to read these bytes.
  void will_read(std::uint64_t offset, std::size_t bytes) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A file being written beside its final name; commit() makes it durable and moves it there.
/// Without commit it leaves nothing behind. A target that is no regular file (a pipe, /dev/null)
/// is written straight into.
class AtomicFile {
 public:
  /// What its name ends with until then.
  static constexpr std::string_view temporary_suffix = ".partial";

  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error(resource) on a full disk, naming the file.
  void write(const std::byte* data, std::size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail_with_errno(const char* action) const;

  std::filesystem::path target_;
  std::filesystem::path temporary_;  ///< empty when writing straight into the target
  int fd_ = -1;
  std::uint64_t written_ = 0;
};

/// `text` for a message: control characters escaped, cut at 200 bytes.
std::string printable(std::string_view text);

}  // namespace trireme
