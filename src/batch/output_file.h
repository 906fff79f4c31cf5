// A file descriptor that is written: positioned writes that say what went wrong, and durable
// renames.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace trireme {

class OutputFile {
 public:
  OutputFile() = default;
  /// Opens with open(2)'s flags. Throws Error naming the path.
  OutputFile(const std::filesystem::path& path, int flags);
  /// Takes over an open descriptor that stays open.
  OutputFile(int fd, std::string name);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }
  std::uint64_t size() const;

  /// Appends at the descriptor's position. Throws Error(resource); `purpose` says what is lost and
  /// what to do about it.
  void write(std::string_view bytes, std::string_view purpose) const;
  void write_at(std::uint64_t offset, std::string_view bytes, std::string_view purpose) const;
  /// Reads up to `bytes` bytes; fewer at the end of the file.
  std::size_t read_at(std::uint64_t offset, char* out, std::size_t bytes) const;
  void truncate(std::uint64_t bytes) const;
  void sync() const;       ///< data and what is needed to find them
  void sync_data() const;  ///< the same, but not the times of change

 private:
  std::string name_;
  int fd_ = -1;
  bool owned_ = false;
};

/// Makes new names, renames and removals in the path's directory durable, where the file system
/// can. Throws Error(resource) where it should and cannot.
void sync_directory_of(const std::filesystem::path& path);

}  // namespace trireme
