// Any bytes as the header of a packed cache, as they are and with the hash that vouches for them.
#include <cstring>
#include <vector>

#include "core/error.h"
#include "weights/packed_cache_format.h"

namespace {

using namespace trireme;

void read(std::span<const std::byte> bytes) {
  try {
    std::uint64_t payload = 0;
    std::memcpy(&payload, bytes.data() + 24, sizeof(payload));
    const std::uint64_t size = checked_packed_header_bytes(
        bytes.first(packed_cache_prefix), payload_begin(bytes.size()) + payload, "fuzz");
    if (size != bytes.size()) return;
    const PackedHeader header = parse_packed_header(bytes, "fuzz");
    TRIREME_ASSERT(header.hashes.size() == piece_count(header.contents.payload_bytes));
    for (const PackedEntry& entry : header.contents.entries) {
      TRIREME_ASSERT(entry.offset <= header.contents.payload_bytes &&
                     entry.bytes <= header.contents.payload_bytes - entry.offset);
    }
    TRIREME_ASSERT(difference(header.contents, header.contents).empty());
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < packed_cache_prefix) return 0;
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), data, size);
  read(bytes);
  // Magic, versions and size as a writer has them, around the same body.
  static const std::vector<std::byte> written = encode_packed_header({{"", {}, 1}, {0}});
  std::memcpy(bytes.data(), written.data(), 16);
  const std::uint64_t length = size;
  std::memcpy(bytes.data() + 16, &length, sizeof(length));
  seal_packed_header(bytes);
  read(bytes);
  return 0;
}
