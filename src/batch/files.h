// The file operations on which "exactly once" rests, as an interface: a test puts a disk beneath
// the ledger that loses power, is full, or breaks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace trireme {

/// An open file, closed and unlocked with this object. What fails throws Error(resource) that names
/// the file; `purpose` says what is lost by that and what to do about it.
class File {
 public:
  virtual ~File() = default;

  virtual const std::string& name() const = 0;
  virtual std::uint64_t size() const = 0;
  /// Reads up to `bytes` bytes; fewer at the end of the file.
  virtual std::size_t read_at(std::uint64_t offset, char* out, std::size_t bytes) const = 0;
  /// Appends at the file's position. What fails may have written a part.
  virtual void write(std::string_view bytes, std::string_view purpose) = 0;
  virtual void write_at(std::uint64_t offset, std::string_view bytes, std::string_view purpose) = 0;
  virtual void truncate(std::uint64_t bytes) = 0;
  virtual void sync() = 0;       ///< data and what is needed to find them
  virtual void sync_data() = 0;  ///< the same, but not the times of change

  /// False while another opening of the file, here or in another process, holds its lock. Throws
  /// where the file system has no locks.
  virtual bool try_lock() = 0;
  /// Whether its path still names this file, and not another or none.
  virtual bool still_named() const = 0;
};

enum class Opening {
  keep,    ///< to read and write what is there; made if it is absent
  replace  ///< to write anew
};

class Files {
 public:
  enum class Kind { absent, regular, directory, other };

  virtual ~Files() = default;
  virtual std::unique_ptr<File> open(const std::filesystem::path& path, Opening opening) = 0;
  virtual Kind kind(const std::filesystem::path& path) = 0;
  /// The same file by the one name that all its names (links, "..") lead to.
  virtual std::filesystem::path resolve(const std::filesystem::path& path) = 0;
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// Of a file that is absent: nothing.
  virtual void remove(const std::filesystem::path& path) = 0;
  /// A folder, for an output of several files. The operating system's, unless a test has its own.
  virtual void make_directory(const std::filesystem::path& path);
  /// A folder and all in it; of one that is absent: nothing.
  virtual void remove_tree(const std::filesystem::path& path);
  /// Makes what became of names in the path's directory durable.
  virtual void sync_directory_of(const std::filesystem::path& path) = 0;
};

/// The operating system's.
Files& real_files();

}  // namespace trireme
