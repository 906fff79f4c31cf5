// The format of a packed cache: one rank's weights as they lie in memory, in a file that the next
// start maps. A header says what they were made of and where each is; a hash stands for every
// megabyte of them. Pure functions over bytes; nothing in a file is trusted (fuzzed).
//
//   prefix   64 bytes, see packed_cache_format.cc: magic, version, sizes, hash of the header
//   header   the key, the entries, the hashes of the payload's pieces
//   payload  from the next multiple of packed_cache_alignment to the end of the file
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme {

inline constexpr std::size_t packed_cache_prefix = 64;
/// A huge page: file systems that keep files in large pieces of memory (ext4, XFS) can map by huge
/// pages what begins so, and weights stream faster through these.
inline constexpr std::uint64_t packed_cache_alignment = std::uint64_t{2} << 20;
/// So many bytes of the payload, the last piece perhaps fewer, have a hash of their own and are
/// written at once.
inline constexpr std::uint64_t packed_cache_piece = std::uint64_t{4} << 20;

/// A parameter's place in the payload.
struct PackedEntry {
  std::string name;  ///< what it was made of, and in which form it is
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  bool operator==(const PackedEntry&) const = default;
};

/// What is in a file, before anybody looks at the payload.
struct PackedContents {
  std::string key;  ///< all that the payload depends on besides the entries, in lines
  std::vector<PackedEntry> entries;
  std::uint64_t payload_bytes = 0;
};

struct PackedHeader {
  PackedContents contents;
  std::vector<std::uint64_t> hashes;  ///< of the payload's pieces
};

/// Bytes in front of the payload.
std::uint64_t payload_begin(std::uint64_t header_bytes);
std::uint64_t piece_count(std::uint64_t payload_bytes);

/// Prefix and header, up to payload_begin().
std::vector<std::byte> encode_packed_header(const PackedHeader& header);

/// Writes the hash of prefix and header into the prefix.
void seal_packed_header(std::span<std::byte> bytes);

/// How many bytes prefix and header take in a file of `file_bytes` that begins with `prefix`.
/// Throws Error(input), naming `file`, unless they and the payload make up the file exactly.
std::uint64_t checked_packed_header_bytes(std::span<const std::byte> prefix,
                                          std::uint64_t file_bytes, const std::string& file);

/// Of the bytes that checked_packed_header_bytes() says. Throws Error(input), naming `file`, if
/// they are not as they were written or make no sense.
PackedHeader parse_packed_header(std::span<const std::byte> bytes, const std::string& file);

/// In which way `found` is not `expected`; empty if they are the same.
std::string difference(const PackedContents& found, const PackedContents& expected);

}  // namespace trireme
