// Where a verb's data goes: standard output, or a file that appears under its name when it is
// complete.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace trireme {

/// Whoever read our output is gone (as after `| head`): nothing is left to say, the exit code is 1.
class OutputClosed : public std::runtime_error {
 public:
  OutputClosed() : std::runtime_error("standard output was closed by its reader") {}
};

/// Bytes on their way out, buffered if they come in order. A regular file is written beside its
/// name and moved there by commit(), so that it is either the old one or complete; pipes and
/// devices are written straight.
class Output {
 public:
  /// A path, or "-" for standard output. Throws Error(input | resource) naming it.
  explicit Output(const std::string& path);
  /// Without commit() nothing is left behind.
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Throws OutputClosed, or Error(resource) on a full disk.
  void write(std::string_view bytes);
  void flush();
  void commit();

  /// For files that are not written from front to back, which must be regular().
  bool regular() const { return !temporary_.empty(); }
  /// Takes the room on the disk, so that a full one shows before the work is done. Throws
  /// Error(resource).
  void reserve(std::uint64_t bytes);
  void write_at(std::uint64_t offset, std::string_view bytes);

  bool is_standard() const { return path_ == "-"; }

 private:
  [[noreturn]] void fail_with_errno(std::string_view action) const;

  std::string path_;
  std::string temporary_;  ///< empty when written straight
  std::string buffer_;
  int fd_ = -1;
  int watched_ = -1;  ///< its place among the files that a signal removes
};

/// Writes all of it to standard output at once.
void print_out(std::string_view text);

}  // namespace trireme
