// A hash of gigabytes: as fast as memory is read, on any processor, for telling whether a file
// still holds what was written. Not against malice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme {

/// 64 bits over `bytes` and their number. Whatever changes within one aligned word of eight bytes
/// is noticed for certain, anything else but once in 2^64 times. The value is part of file formats
/// and never changes.
std::uint64_t bulk_hash(std::span<const std::byte> bytes);

}  // namespace trireme
