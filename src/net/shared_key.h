// The key that the two ends of a stream share: a file that both have.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

class SharedKey {
 public:
  static constexpr std::size_t least_bytes = 16;  ///< of the file, without the line end
  static constexpr std::size_t most_bytes = 4096;

  /// Reads a file that nobody but its owner may read. Throws Error(usage), which never shows what
  /// is in it.
  static SharedKey read(const std::string& path);
  /// The same from bytes. Throws Error(usage) when they are too few.
  static SharedKey from_bytes(std::string_view bytes);
  /// Writes 256 random bits as text into a new file of mode 0600. Throws Error(usage) when there is
  /// a file of that name, Error(resource) when it cannot be written.
  static void create(const std::string& path);

  SharedKey(const SharedKey&) = default;
  SharedKey& operator=(const SharedKey&) = default;
  ~SharedKey();

  /// What TLS uses: derived from the file's bytes by HKDF-SHA-384 (RFC 5869).
  std::span<const unsigned char> psk() const { return psk_; }

 private:
  SharedKey() = default;
  std::array<unsigned char, 48> psk_{};
};

}  // namespace trireme
