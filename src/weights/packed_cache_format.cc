#include "weights/packed_cache_format.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "core/bulk_hash.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/numerics.h"
#include "weights/file.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "packed caches are little-endian");

namespace {

constexpr std::string_view file_magic = "TRIREMEP";
/// To be raised with every change of this format, and of how weights are packed
/// (Backend::packing()).
constexpr std::uint32_t format_version = 1;
/// Of the largest models a few megabytes.
constexpr std::uint64_t header_limit = std::uint64_t{64} << 20;

struct Prefix {
  char magic[8];
  std::uint32_t version;
  std::uint32_t numerics;
  std::uint64_t header_bytes;  ///< with this prefix
  std::uint64_t payload_bytes;
  std::uint64_t hash;       ///< header_hash()
  std::uint64_t unused[3];  ///< zero
};
static_assert(sizeof(Prefix) == packed_cache_prefix);

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  fail(ErrorKind::input, "{}: {}", file, why);
}

Prefix prefix_of(std::span<const std::byte> bytes) {
  Prefix prefix;
  TRIREME_ASSERT(bytes.size() >= sizeof(prefix));
  std::memcpy(&prefix, bytes.data(), sizeof(prefix));
  return prefix;
}

/// Over all of the header but this hash itself, in whose place is that of what follows the prefix.
std::uint64_t header_hash(std::span<const std::byte> bytes) {
  Prefix prefix = prefix_of(bytes);
  prefix.hash = bulk_hash(bytes.subspan(sizeof(prefix)));
  return bulk_hash(std::as_bytes(std::span<const Prefix>(&prefix, 1)));
}

PackedHeader decode(ByteReader& in, std::uint64_t payload_bytes) {
  PackedHeader header;
  header.contents.payload_bytes = payload_bytes;
  header.contents.key = in.string();
  for (auto count = in.value<std::uint64_t>(); count > 0; --count) {
    PackedEntry& entry = header.contents.entries.emplace_back();
    entry.name = in.string();
    entry.offset = in.value<std::uint64_t>();
    entry.bytes = in.value<std::uint64_t>();
  }
  header.hashes = in.array<std::uint64_t>();
  return header;
}

void check(const PackedHeader& header, const std::string& file) {
  const std::uint64_t all = header.contents.payload_bytes;
  for (const PackedEntry& entry : header.contents.entries) {
    if (entry.bytes > all || entry.offset > all - entry.bytes) {
      refuse(file, fmt::format("{} lies at {} + {} of {} bytes", printable(entry.name),
                               entry.offset, entry.bytes, all));
    }
  }
  if (header.hashes.size() != piece_count(all)) {
    refuse(file, fmt::format("{} hashes for {} pieces", header.hashes.size(), piece_count(all)));
  }
}

/// The first line of `a` that is not at its place in `b`.
std::string_view first_other_line(std::string_view a, std::string_view b) {
  while (!a.empty()) {
    const std::string_view line = a.substr(0, a.find('\n'));
    if (line != b.substr(0, b.find('\n'))) return line;
    a.remove_prefix(std::min(a.size(), line.size() + 1));
    b.remove_prefix(std::min(b.size(), line.size() + 1));
  }
  return "nothing more";
}

}  // namespace

std::uint64_t payload_begin(std::uint64_t header_bytes) {
  return (header_bytes + packed_cache_alignment - 1) / packed_cache_alignment *
         packed_cache_alignment;
}

std::uint64_t piece_count(std::uint64_t payload_bytes) {
  return payload_bytes / packed_cache_piece + (payload_bytes % packed_cache_piece != 0 ? 1 : 0);
}

std::vector<std::byte> encode_packed_header(const PackedHeader& header) {
  ByteWriter out;
  out.value(Prefix{});
  out.string(header.contents.key);
  out.value<std::uint64_t>(header.contents.entries.size());
  for (const PackedEntry& entry : header.contents.entries) {
    out.string(entry.name);
    out.value(entry.offset);
    out.value(entry.bytes);
  }
  out.array(header.hashes);
  std::vector<std::byte> bytes = out.take();
  Prefix prefix{.magic = {},
                .version = format_version,
                .numerics = numerics_version,
                .header_bytes = bytes.size(),
                .payload_bytes = header.contents.payload_bytes,
                .hash = 0,
                .unused = {}};
  std::memcpy(prefix.magic, file_magic.data(), sizeof(prefix.magic));
  std::memcpy(bytes.data(), &prefix, sizeof(prefix));
  seal_packed_header(bytes);
  bytes.resize(payload_begin(bytes.size()));
  return bytes;
}

void seal_packed_header(std::span<std::byte> bytes) {
  const std::uint64_t hash = header_hash(bytes);
  std::memcpy(bytes.data() + offsetof(Prefix, hash), &hash, sizeof(hash));
}

std::uint64_t checked_packed_header_bytes(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes, const std::string& file) {
  const Prefix prefix = prefix_of(bytes);
  if (std::string_view(prefix.magic, sizeof(prefix.magic)) != file_magic) {
    refuse(file, "no packed cache: it does not begin as one");
  }
  if (prefix.version != format_version || prefix.numerics != numerics_version) {
    refuse(file, fmt::format("of version {}.{}, and this program writes {}.{}", prefix.version,
                             prefix.numerics, format_version, numerics_version));
  }
  if (prefix.header_bytes < packed_cache_prefix || prefix.header_bytes > header_limit) {
    refuse(file, fmt::format("a header of {} bytes cannot be", prefix.header_bytes));
  }
  const std::uint64_t begin = payload_begin(prefix.header_bytes);
  if (file_bytes < begin || file_bytes - begin != prefix.payload_bytes) {
    refuse(file, fmt::format("it has {} bytes, and its header says {} + {}: it was cut short or "
                             "written into",
                             file_bytes, begin, prefix.payload_bytes));
  }
  return prefix.header_bytes;
}

PackedHeader parse_packed_header(std::span<const std::byte> bytes, const std::string& file) {
  const Prefix prefix = prefix_of(bytes);
  TRIREME_ASSERT(prefix.header_bytes == bytes.size());
  if (header_hash(bytes) != prefix.hash) refuse(file, "its header is not as it was written");
  PackedHeader header;
  try {
    ByteReader in(bytes.subspan(packed_cache_prefix));
    header = decode(in, prefix.payload_bytes);
    if (!in.done()) refuse(file, "more in its header than belongs there");
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::input) throw;
    refuse(file, "its header ends too early");
  }
  check(header, file);
  return header;
}

std::string difference(const PackedContents& found, const PackedContents& expected) {
  if (found.key != expected.key) {
    return fmt::format("made of \"{}\", where \"{}\" is needed",
                       printable(first_other_line(found.key, expected.key)),
                       printable(first_other_line(expected.key, found.key)));
  }
  if (found.payload_bytes != expected.payload_bytes || found.entries != expected.entries) {
    return "its parameters lie in another order or form";
  }
  return "";
}

}  // namespace trireme
