// Bytes from a file, standard input or memory, in pieces.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills some of `out` and returns how many bytes; 0 at the end. Throws Error on failure.
  virtual std::size_t read(std::span<char> out) = 0;
  /// Whether read() would return at once, with bytes or the end.
  virtual bool ready() { return true; }
  /// For messages: the file's name, or "standard input".
  virtual const std::string& name() const = 0;
};

/// Opens a file, or standard input for "-".
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

/// Bytes that stay the caller's.
std::unique_ptr<ByteSource> bytes_in_memory(std::string_view bytes, std::string name);

}  // namespace trireme
